"""What every layer with feedback weights offers to its rule."""

import torch
from torch import Tensor


def orthonormal(size: int, like: Tensor, stream: torch.Generator) -> Tensor:
    """``size`` orthonormal rows of length ``size``, drawn from ``stream``, with ``like``'s type and device."""
    noise = torch.randn(size, size, generator=stream, device=like.device, dtype=like.dtype)
    q, r = torch.linalg.qr(noise)
    rows: Tensor = q * r.diagonal().sign()  # without the signs, QR's rows are not uniform over all directions
    return rows


def cast_for_autocast(x: Tensor, *others: Tensor | None) -> tuple[Tensor | None, ...]:
    """The tensors in autocast's type where autocast is on, so that W's gradient comes back in W's own."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return (x, *others)
    kind = torch.get_autocast_dtype(device)
    return tuple(None if t is None else t.to(kind) for t in (x, *others))
