"""Functions that convolutions and linear layers with feedback weights share."""

import torch
from torch import Tensor


def orthonormal(size: int, like: Tensor, stream: torch.Generator) -> Tensor:
    """Draw ``size`` orthonormal rows of length ``size``, with the dtype and device of ``like``."""
    noise = torch.randn(size, size, generator=stream, device=like.device, dtype=like.dtype)
    q, r = torch.linalg.qr(noise)
    rows: Tensor = q * r.diagonal().sign()  # without the signs, the rows of QR are not uniform over all directions
    return rows


def cast_for_autocast(x: Tensor, *others: Tensor | None) -> tuple[Tensor | None, ...]:
    """Cast the tensors to autocast's dtype if it is enabled, so that W's gradient arrives in W's own dtype.

    As in torch, autocast leaves float64 as it is.
    """
    device = x.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):  # torch knows no autocast on meta
        return (x, *others)
    dtype = torch.get_autocast_dtype(device)
    return tuple(t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in (x, *others))
