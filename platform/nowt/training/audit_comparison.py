"""Compares the numbers of two passes through the same training step, of which the second had another W."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from nowt.core.distributed import Group

Numbers = dict[str, Tensor]  # by what they are, as messages name it

Changes = dict[str, float]  # of each of them, and of its smallest entries

LEAST = 1e-30  # of a norm

HUGE = 1e30  # a change that is not finite; logs have no infinity

PARTS = tuple(2**k for k in range(7))  # the smallest 1/1, 1/2, ... of a tensor's entries are compared by themselves

LEAST_ENTRIES = 16  # of such a part


@dataclass(frozen=True)
class Tolerance:
    """The change that rounding explains, for one number format.

    Attributes:
        change: Largest change, relative to the size of a gradient, or to what the step changed of the rule's state.
        state: Share of an entry of the state that counts as the least that a step changes of it.
        gradient: Share of the norm of a typical gradient that counts as the least size of one: the gradient of a bias
            before batch norm, for example, is rounding alone.
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


def changes_by_part(name: str, sizes: Tensor, one: Tensor, other: Tensor | None, floor: float = 0.0) -> Changes:
    """Return the norm of the difference relative to that of ``sizes``, for all entries and for the smallest ones.

    Otherwise some huge entries, such as one column of B, would hide what happens to all others. ``floor`` is the least
    norm of all sizes together.
    """
    if other is None:
        return {name: HUGE}
    same = (one == other) | (one.isnan() & other.isnan())
    difference = (one.detach().double() - other.detach().double()).masked_fill(same, 0.0).flatten()
    ordered, order = sizes.masked_fill(same & ~sizes.isfinite(), 0.0).flatten().sort()
    whole, changed = ordered.square().cumsum(0), difference[order].square().cumsum(0)
    found = {}
    for part in (part for part in PARTS if part == 1 or len(ordered) >= part * LEAST_ENTRIES):
        last, least = len(ordered) // part - 1, max(floor**2 / part, LEAST**2)
        label = name if part == 1 else f"the smallest 1/{part} of {name}"
        found[label] = _root_ratio(changed[last:], whole[last:], least) if len(ordered) else 0.0
    return found


def _root_ratio(changed: Tensor, whole: Tensor, least: float) -> float:
    ratio = (float(changed[0]) / max(float(whole[0]), least)) ** 0.5
    return ratio if ratio < HUGE else HUGE  # also NaN


def state_changes(before: Numbers, one: Numbers, other: Numbers, tolerance: Tolerance) -> Changes:
    """Return the difference between ``one`` and ``other`` by name, relative to the change since ``before``."""
    found: Changes = {}
    for name, value in one.items():
        wide = value.detach().double()
        sizes = torch.maximum((wide - before[name].detach().double()).abs(), tolerance.state * wide.abs())
        found |= changes_by_part(name, sizes, value, other.get(name))
    return found


def value_changes(one: Numbers, other: Numbers, tolerance: Tolerance) -> Changes:
    """Return the difference between ``one`` and ``other`` by name, relative to the size of each value."""
    norms = [float(value.detach().double().norm()) for value in one.values()]
    # the median: one huge tensor must not make all others look like rounding
    floor = tolerance.gradient * median([norm for norm in norms if 0 < norm < HUGE] or [0.0])
    found: Changes = {}
    for name, value in one.items():
        found |= changes_by_part(name, value.detach().double().abs(), value, other.get(name), floor)
    return found


def are_finite(numbers: Mapping[str, Tensor]) -> bool:
    """Return whether all numbers are finite."""
    return all(bool(value.isfinite().all()) for value in numbers.values())


def largest_over_workers(changes: Changes, group: Group) -> Changes:
    """Return the largest of each change over the workers. All workers have the same names."""
    values = torch.tensor(list(changes.values()), dtype=torch.float64)
    if group.size > 1 and changes:
        values = torch.stack(group.gather(values)).amax(0)
    return dict(zip(changes, values.tolist(), strict=True))


def largest(changes: Sequence[Changes]) -> Changes:
    """Return the largest of each change over several comparisons."""
    return {name: max(one.get(name, HUGE) for one in changes) for name in changes[0]} if changes else {}
