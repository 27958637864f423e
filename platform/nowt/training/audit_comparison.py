"""Compares the numbers of two passes through the same training step, of which the second had another W."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nowt.core.distributed import Group
from nowt.layers.views import feedback_of
from nowt.rules.base import overrides
from nowt.rules.feedback_layer import FeedbackLayer

Numbers = dict[str, Tensor]  # by what they are, as messages name it

Changes = dict[str, float]  # of each of them

GRADIENT = "the gradient of "

LEAST = 1e-30  # of a norm

HUGE = 1e30  # a change that is not finite; logs have no infinity


@dataclass(frozen=True)
class Tolerance:
    """The change that rounding explains, for one number format.

    Attributes:
        change: Largest change, relative to the size of a gradient, or to what the step changed of the rule's state.
        state: Share of a state's size that counts as the least that a step changes of it.
        gradient: Share of the norm of all gradients that counts as the least size of one: the gradient of a bias before
            batch norm, for example, is rounding alone.
    """

    change: float
    state: float
    gradient: float


# measured: see docs/audits.md
TOLERANCES = {
    "float64": Tolerance(1e-9, 1e-6, 1e-6),
    "float32": Tolerance(1e-2, 1e-4, 1e-3),
    "bfloat16": Tolerance(1e-2, 1e-4, 1e-3),  # W and B are float32, and only memory is changed
}


def copy_state(layers: Sequence[FeedbackLayer]) -> Numbers:
    """Return copies of what the rule registered, B included."""
    return {
        f"{'B' if name == 'feedback' else name} of layer {layer.name}": layer.get_parameter(name).detach().clone()
        for layer in layers
        for name in layer.state_names
    }


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


def state_changes(before: Numbers, one: Numbers, other: Numbers, tolerance: Tolerance) -> Changes:
    """Return the difference between ``one`` and ``other`` by name, relative to the change since ``before``."""
    return {
        name: _ratio(value, other[name], max(_norm(value, before[name]), tolerance.state * _norm(value)))
        for name, value in one.items()
    }


def gradient_changes(one: Numbers, other: Numbers, tolerance: Tolerance) -> Changes:
    """Return the difference between ``one`` and ``other`` by name, relative to the size of each gradient."""
    norms = {name: _norm(value) for name, value in one.items()}
    floor = tolerance.gradient * sum(norm * norm for norm in norms.values()) ** 0.5
    return {
        name: _ratio(value, other[name], max(norms[name], floor)) if name in other else HUGE
        for name, value in one.items()
    }


def feedback_weights(layers: Sequence[FeedbackLayer]) -> Numbers:
    """Return copies of the weights that carry the error back, of layers whose rule computes them from its state."""
    with torch.no_grad():
        return {
            f"the feedback of layer {layer.name}": feedback_of(layer).detach().clone()
            for layer in layers
            if overrides(layer.rule, "feedback") and not overrides(layer.rule, "send_back")
        }


def _ratio(one: Tensor, other: Tensor, size: float) -> float:
    if torch.allclose(one, other, rtol=0, atol=0, equal_nan=True):
        return 0.0
    change = _norm(one, other) / max(size, LEAST)
    return change if change < HUGE else HUGE  # also NaN


def _norm(value: Tensor, other: Tensor | None = None) -> float:
    wide = value.detach().double()
    return float((wide if other is None else wide - other.detach().double()).norm())


def are_finite(numbers: Mapping[str, Tensor]) -> bool:
    """Return whether all numbers are finite."""
    return all(bool(value.isfinite().all()) for value in numbers.values())


def largest_over_workers(changes: Changes, group: Group) -> Changes:
    """Return the largest of each change over the workers. All workers have the same names."""
    values = torch.tensor(list(changes.values()), dtype=torch.float64)
    if group.size > 1 and changes:
        values = torch.stack(group.gather(values)).amax(0)
    return dict(zip(changes, values.tolist(), strict=True))
