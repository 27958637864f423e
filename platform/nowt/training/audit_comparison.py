"""Compares the numbers of two passes through the same training step, bit for bit."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nowt.core.distributed import Group
from nowt.training.fingerprint import Bits

Numbers = dict[str, Tensor]  # by what they are, as messages name it

Changes = dict[str, float]  # the relative size of the change of each of them; 0 if all bits are the same

LEAST, HUGE = 1e-30, 1e30  # of a change; logs have no infinity


def changes_between(one: Numbers, other: Numbers) -> Changes:
    """Return the relative change from ``one`` to ``other``, by name; ``HUGE`` if only one of them has a name."""
    return {name: relative_change(one.get(name), other.get(name)) for name in one | other}


def relative_change(one: Tensor | None, other: Tensor | None) -> float:
    """Return 0 if all bits are the same; otherwise the norm of the difference, relative to that of ``one``.

    The latter is within ``LEAST`` and ``HUGE``, also for numbers that are not finite.
    """
    if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
        return HUGE
    if Bits(one) == Bits(other):
        return 0.0
    wide = torch.complex128 if one.is_complex() else torch.float64
    before, after = one.detach().to(wide), other.detach().to(wide)
    ratio = float((before - after).norm()) / max(float(before.norm()), LEAST)
    return max(ratio, LEAST) if ratio < HUGE else HUGE  # also NaN


def are_finite(numbers: Mapping[str, Tensor]) -> bool:
    """Return whether all numbers are finite."""
    return all(bool(value.isfinite().all()) for value in numbers.values())


def largest_over_workers(changes: Changes, group: Group) -> Changes:
    """Return the largest of each change over the workers. All workers have the same names."""
    values = torch.tensor(list(changes.values()), dtype=torch.float64)
    if group.size > 1 and changes:
        values = torch.stack(group.gather(values)).amax(0)
    return dict(zip(changes, values.tolist(), strict=True))
