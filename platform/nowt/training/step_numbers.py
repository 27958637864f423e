"""The numbers that a training step gives: all that another W must not change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.audit_comparison import Numbers

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

GRADIENT = "the gradient of "

LOSS = "the loss"


@dataclass(frozen=True)
class StepNumbers:
    """What one pass through a step gave.

    Attributes:
        gradients: All gradients, as the optimizer uses them.
        all: These, the sum of the loss, what the rule registered, B included, and the model's buffers, such as running
            statistics.
    """

    gradients: Numbers
    all: Numbers

    @classmethod
    def of(cls, training: "TrainingState", act: Callable[[], None]) -> "StepNumbers":
        """Return the numbers of the step that ``act`` does."""
        with used_gradients(training.model, training.optimizer) as used:
            act()
        loss = {LOSS: training.totals.loss.clone()}
        return cls(used, {**loss, **used, **copy_state(training.layers), **copy_buffers(training.model)})


def copy_state(layers: Sequence[FeedbackLayer]) -> Numbers:
    """Return copies of what the rule registered, B included."""
    return {
        f"{'B' if name == 'feedback' else name} of layer {layer.name}": layer.get_parameter(name).detach().clone()
        for layer in layers
        for name in layer.state_names
    }


def copy_buffers(model: nn.Module) -> Numbers:
    """Return copies of the model's buffers, such as batch norm's running statistics."""
    return {f"buffer {name}": buffer.detach().clone() for name, buffer in model.named_buffers()}


@contextmanager
def used_gradients(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Numbers]:
    """Context manager that copies the gradients which the optimizer uses within the block.

    A rule may change them when they have been used, so that what is left in ``grad`` hides what the step did.
    """
    found: Numbers = {}

    def copy(*_: object) -> None:
        named = model.named_parameters()
        found.update({GRADIENT + n: p.grad.clone() for n, p in named if p.requires_grad and p.grad is not None})

    hook = optimizer.register_step_pre_hook(copy)
    try:
        yield found
    finally:
        hook.remove()
