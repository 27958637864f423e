"""How much a tensor changes, as a whole and in the parts that huge entries would hide."""

from torch import Tensor

LEAST = 1e-30  # of a norm

HUGE = 1e30  # a change that is not finite; JSON has no infinity

PARTS = tuple(2**k for k in range(7))  # the smallest 1/1, 1/2, ... of a tensor's entries are compared by themselves

LEAST_ENTRIES = 16  # of such a part


def changes_by_part(
    name: str, sizes: Tensor, one: Tensor, other: Tensor | None, floor: float = 0.0
) -> dict[str, float]:
    """Return the norm of the difference relative to that of ``sizes``, for all entries and for the smallest ones.

    Otherwise some huge entries, such as one column of B, would hide what happens to all others.

    Args:
        name: What the tensor is, for the names of its parts.
        sizes: What its entries are measured against.
        one: The tensor.
        other: The tensor with another W; None if there is none, which is a change of ``HUGE``.
        floor: Least norm of all sizes together. Default 0.
    """
    if other is None:
        return {name: HUGE}
    same = (one == other) | (one.isnan() & other.isnan())
    difference = (one.detach().double() - other.detach().double()).masked_fill(same, 0.0).flatten()
    ordered, order = sizes.masked_fill(same & ~sizes.isfinite(), 0.0).flatten().sort()
    whole, changed = ordered.square().cumsum(0), difference[order].square().cumsum(0)
    found = {}
    for part in (part for part in PARTS if part == 1 or len(ordered) >= part * LEAST_ENTRIES):
        last, least = len(ordered) // part - 1, max(LEAST**2, floor**2 / part)  # LEAST also if the floor is NaN
        label = name if part == 1 else f"the smallest 1/{part} of {name}"
        found[label] = _root_ratio(changed[last:], whole[last:], least) if len(ordered) else 0.0
    return found


def _root_ratio(changed: Tensor, whole: Tensor, least: float) -> float:
    ratio = (float(changed[0]) / max(least, float(whole[0]))) ** 0.5
    return ratio if ratio < HUGE else HUGE  # also NaN
