"""Functions that convolutions and linear layers with feedback weights share."""

import torch
from torch import Tensor


def cast_for_autocast(x: Tensor, *others: Tensor | None) -> tuple[Tensor | None, ...]:
    """Cast the tensors to autocast's dtype if it is enabled, so that W's gradient arrives in W's own dtype.

    As in torch, autocast leaves float64 as it is.
    """
    device = x.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):  # torch knows no autocast on meta
        return (x, *others)
    dtype = torch.get_autocast_dtype(device)
    return tuple(t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in (x, *others))
