"""Control passes of an audited step: whether rounding alone explains what another W has changed.

Moving W changes all activity by rounding. A rule that amplifies rounding, such as one that sends only the largest
errors or that learns by signs, may change with it by more than rounding itself.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nowt.training.audit_comparison import TOLERANCES, Changes, Numbers, largest, largest_over_workers
from nowt.training.step_numbers import StepNumbers
from nowt.training.step_snapshot import StepSnapshot, rehearsed

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

ROUNDING = (4.0, 16.0, 64.0) * 3  # sizes of the noise on the images, in units of the machine epsilon

PRECISIONS = {"float64": torch.float64}  # otherwise float32


def changes_by_rounding(
    training: "TrainingState", before: StepSnapshot, state: Numbers, first: StepNumbers, x: Tensor, y: Tensor
) -> Changes:
    """Return the largest changes when the step is repeated with W as it is, on images that differ by rounding.

    Args:
        training: The state after the step. It does not change.
        before: The state before it.
        state: What the rule had registered before it.
        first: The numbers of the step.
        x: This worker's images, which may not have changed.
        y: Their labels.
    """
    config, found = training.config, list[Changes]()
    epsilon = torch.finfo(PRECISIONS.get(config.precision, torch.float32)).eps
    generator = torch.Generator(training.device)
    with rehearsed(training):
        for size in ROUNDING:
            before.restore()
            generator.seed()
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            again = StepNumbers.of(training, lambda: training.train_step(x + size * epsilon * noise * x, y))  # noqa: B023
            found.append(first.changes(state, again, TOLERANCES[config.precision]))
    return largest_over_workers(largest(found), training.group)
