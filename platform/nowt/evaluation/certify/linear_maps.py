"""Recognizes operations that send inputs forward through W, and inputs from which W could be read exactly."""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor


def mapped_input(op: str, args: Sequence[Any], weight: Tensor, reads_weight: Callable[[Any], bool]) -> Tensor | None:
    """Return the input that a linear operation sends forward through W; None for any other operation.

    ``reads_weight`` returns whether a value holds some layer's W.
    """
    if op == "convolution":
        fits = args[1].shape == weight.shape and not args[6] and not reads_weight(args[0])  # args[6]: transposed
        return args[0] if fits else None
    if op not in ("mm", "addmm"):
        return None
    left, right = args[-2:]
    if reads_weight(right):
        left, right = right.t(), left.t()
    fits = left.shape[1] == weight[0].numel() and not reads_weight(right)
    return right.t() if fits else None


def reveals_weights(op: str, args: Sequence[Any], inputs: Tensor) -> bool:
    """Return whether the input patches are orthogonal and complete, so that the outputs give every weight exactly."""
    # two channels are cheap, and rule out almost everything
    return _first_is_orthogonal(_patches(op, args, inputs, channels=2)) and _complete(_patches(op, args, inputs))


def _patches(op: str, args: Sequence[Any], inputs: Tensor, channels: int | None = None) -> Tensor:
    """Return the input patches that meet the kernel, one per row: (samples × positions, fan-in); of the first channels,
    if their number is given."""
    if op != "convolution":
        return inputs.double()
    _, weight, _, stride, padding, dilation = args[:6]
    used = inputs[:, : weight.shape[1]][:, :channels].double()
    return F.unfold(used, weight.shape[2:], dilation, padding, stride).transpose(1, 2).flatten(0, 1)


def _complete(patches: Tensor) -> bool:
    return patches.shape[0] >= patches.shape[1] and _orthogonal(patches.t() @ patches, len(patches))


def _first_is_orthogonal(patches: Tensor) -> bool:
    """Return whether the first column is orthogonal to all others."""
    return _orthogonal(patches[:, :1].t() @ patches, len(patches))


def _orthogonal(gram: Tensor, samples: int) -> bool:
    """Return whether the rows of a Gram matrix are nearly 0 off the diagonal.

    The threshold is an eighth of the smallest maximum to expect for independent noise of so many samples.
    """
    size = gram.diagonal().min()
    return bool(gram.abs().fill_diagonal_(0).max() < 0.125 * size / samples**0.5)
