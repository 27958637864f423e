"""Repeats a training step with the same activity, while the memory of W holds other numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nowt.layers.replay import RecordedMaps, recorded_maps, replayed_maps
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.audit_comparison import HUGE, Changes, changes_between, largest_over_workers
from nowt.training.step_numbers import LOSS, StepNumbers
from nowt.training.step_snapshot import StepSnapshot

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

FAILED = "the step itself"  # fails with another W


@dataclass(frozen=True)
class RecordedStep:
    """A training step that was done, and all that is needed to repeat it.

    Attributes:
        training: The run.
        before: The state before the step.
        x: This worker's images; nothing changes them.
        y: Their labels.
        layers: The layers whose maps are recorded. Nothing else uses their W.
        recorded: What they mapped.
        numbers: What the step gave.
    """

    training: "TrainingState"
    before: StepSnapshot
    x: Tensor
    y: Tensor
    layers: Sequence[FeedbackLayer]
    recorded: RecordedMaps
    numbers: StepNumbers

    @classmethod
    def of(
        cls, training: "TrainingState", before: StepSnapshot, x: Tensor, y: Tensor, layers: Sequence[FeedbackLayer]
    ) -> "RecordedStep":
        """Do a step on images ``x`` and labels ``y`` and record it. The model is not compiled meanwhile."""
        kept = x.clone()
        with recorded_maps(layers, training.audits.is_rule_code) as recorded:
            numbers = _eager_step(training, x, y)
        return cls(training, before, kept, y, layers, recorded, numbers)

    def changes(self, generator: torch.Generator | None = None) -> Changes:
        """Repeat the step, and return how much its numbers change, over all workers.

        With a ``generator``, every W and the optimizer's state of it have other numbers from the beginning to the end.
        """
        self.before.restore()
        if generator is not None:
            _replace_weights(self.training, self.layers, generator)
        try:
            with replayed_maps(self.layers, self.recorded, self.training.audits.is_rule_code):
                again = _eager_step(self.training, self.x.clone(), self.y)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # a custom rule may raise anything, such as one that expects the true W
            if self.training.group.size > 1:
                raise
            return {LOSS: 0.0, FAILED: HUGE}
        return largest_over_workers(changes_between(self.numbers.all, again.all), self.training.group)


def _eager_step(training: "TrainingState", x: Tensor, y: Tensor) -> StepNumbers:
    forward, training.forward = training.forward, training.eager
    try:
        return StepNumbers.of(training, lambda: training.train_step(x, y))
    finally:
        training.forward = forward


def _replace_weights(training: "TrainingState", layers: Sequence[FeedbackLayer], generator: torch.Generator) -> None:
    for layer in layers:
        replace_numbers(layer.weight, generator)
        for value in training.optimizer.state.get(layer.weight, {}).values():
            if isinstance(value, Tensor) and value.dim() > 0 and value.is_floating_point():
                replace_numbers(value, generator)


@torch.no_grad()
def replace_numbers(tensor: Tensor, generator: torch.Generator) -> None:
    """Draw the numbers of a tensor in place, on the CPU, with its root mean square; if none was negative, none is.

    The tensor's version counter does not change.
    """
    scale = float(tensor.double().square().mean().sqrt())
    drawn = scale * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    tensor.data.copy_(drawn.abs() if bool((tensor >= 0).all()) else drawn)
