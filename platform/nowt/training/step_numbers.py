"""The numbers that a training step gives: all that another W must not change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from nowt.layers.views import feedback_of
from nowt.rules.base import overrides
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.audit_comparison import (
    HUGE,
    Changes,
    Numbers,
    Tolerance,
    are_finite,
    state_changes,
    value_changes,
)

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

GRADIENT = "the gradient of "

LOSS = "the loss"

FAILED = "the step itself"  # fails with another W


@dataclass(frozen=True)
class StepNumbers:
    """What one pass through a step gave.

    Attributes:
        loss: Sum of the loss over its images.
        gradients: All gradients, as the optimizer uses them.
        state: What the rule registered, B included.
        feedback: The weights that carry errors back, where a rule computes them from its state: they may be the small
            difference of large numbers.
        buffers: The model's buffers, such as running statistics.
    """

    loss: float
    gradients: Numbers
    state: Numbers
    feedback: Numbers
    buffers: Numbers

    @classmethod
    def of(cls, training: "TrainingState", act: Callable[[], None]) -> "StepNumbers":
        """Return the numbers of the step that ``act`` does."""
        earlier, layers = float(training.totals.loss), training.layers
        with used_gradients(training.model, training.optimizer) as used:
            act()
        loss = float(training.totals.loss) - earlier
        return cls(loss, used, copy_state(layers), feedback_weights(layers), copy_buffers(training.model))

    def changes(self, state: Numbers, other: "StepNumbers | None", tolerance: Tolerance) -> Changes:
        """Return how much another pass through the step differs, by what differs. ``state`` is the rule's state before
        the step. The change is infinite if the other pass failed, and if the gradients are not finite."""
        if not are_finite(self.gradients):
            return {LOSS: HUGE}
        if other is None:
            return {LOSS: 0.0, FAILED: HUGE}
        return {
            LOSS: abs(other.loss - self.loss) / max(abs(self.loss), tolerance.gradient),
            **state_changes(state, self.state, other.state, tolerance),
            **value_changes(self.gradients, other.gradients, tolerance),
            **value_changes(self.feedback, other.feedback, tolerance),
            **value_changes(self.buffers, other.buffers, tolerance),
        }


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


def feedback_weights(layers: Sequence[FeedbackLayer]) -> Numbers:
    """Return copies of the weights that carry the error back, of layers whose rule computes them from its state."""
    with torch.no_grad():
        return {
            f"the feedback of layer {layer.name}": feedback_of(layer).detach().clone()
            for layer in layers
            if overrides(layer.rule, "feedback") and not overrides(layer.rule, "send_back")
        }
