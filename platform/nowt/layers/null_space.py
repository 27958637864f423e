"""Changes of W that no activity shows: matrices that map a layer's own inputs to 0.

A layer has such matrices if its inputs in a forward pass, one per sample and position, span less than its fan-in.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.layers.conv import conv_geometry
from nowt.layers.functional import cast_for_autocast
from nowt.rules.conv_geometry import ConvGeometry, pad_input
from nowt.rules.feedback_layer import FeedbackLayer

TOLERANCE = 1e-9  # directions in which the inputs are smaller than this, relative to the largest one, are empty

Inputs = dict[str, Tensor]  # of each layer, by name: (groups, rows, fan-in), float64


@contextmanager
def recorded_inputs(layers: Sequence[FeedbackLayer]) -> Iterator[Inputs]:
    """Record what each layer multiplies with W in the forward passes of the block, by layer name.

    A layer's inputs are (groups, rows, fan-in) in float64; a linear layer has one group. A row is the input at one
    position of one sample. There are at most twice as many rows as the fan-in: beyond that, they are replaced by fewer
    rows that span the same space. All calls of a layer, and of those that share its W, are recorded together. A layer
    that is not called is missing.
    """
    names: dict[nn.Module, str] = {one: layer.name for layer in layers for one in (layer, *layer.tied)}
    with inputs_by_name(names) as found:
        yield found


@contextmanager
def inputs_by_name(names: Mapping[nn.Module, str]) -> Iterator[Inputs]:
    """Record the inputs of linear layers and convolutions, also of torch's own or derived from them, by their names."""
    found: Inputs = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        with torch.no_grad():
            for rows in _rows(layer, inputs[0].detach()):
                before = found.get(names[layer])
                found[names[layer]] = _shortened(rows if before is None else torch.cat([before, rows], 1))

    with ExitStack() as hooks:
        for layer in names:
            hooks.enter_context(layer.register_forward_hook(keep))
        yield found


def has_null_space(inputs: Tensor) -> bool:
    """Return whether inputs, (groups, rows, fan-in), span less than the fan-in of some group."""
    return inputs.shape[1] < inputs.shape[2] or any(len(_basis(rows)) < rows.shape[1] for rows in inputs)


def rank_of(inputs: Tensor) -> int:
    """Return how many dimensions inputs, (groups, rows, fan-in), span: the smallest number over groups."""
    return min(len(_basis(rows)) for rows in inputs)


@torch.no_grad()
def move_in_null_space(weight: Tensor, inputs: Tensor, generator: torch.Generator) -> float:
    """Add to W in place a random matrix that maps ``inputs`` to 0, about as large as W, and return what rounding left.

    W's version counter does not change, so that autograd does not notice. The matrix is computed in float64 and added
    in W's dtype. In groups whose inputs span everything, W does not change.

    Args:
        weight: W; (out, in) or (out, in / groups, kh, kw).
        inputs: The inputs, as ``recorded_inputs`` returns them.
        generator: Draws the matrix, on its own device.

    Returns:
        The norm of the change of W x over all ``inputs``, divided by that of W x; about the machine epsilon of W's
        dtype. NaN, and an unchanged W, if W or the inputs are not finite.
    """
    before = weight.detach().to(torch.float64, copy=True).flatten(1)
    if not (before.isfinite().all() and inputs.isfinite().all()):
        return math.nan
    noise = torch.randn(before.shape, generator=generator, device=generator.device, dtype=torch.float64)
    change = noise.to(weight.device) * before.std()
    parts = [_without(part, _basis(rows)) for part, rows in zip(change.chunk(len(inputs)), inputs, strict=True)]
    weight.data.copy_((before + torch.cat(parts)).view_as(weight))
    return _relative_response(weight.detach().double().flatten(1) - before, before, inputs)


def _rows(layer: nn.Module, x: Tensor) -> Iterator[Tensor]:
    """Yield the rows of an input a few samples at a time, since those of a convolution's map need a lot of memory."""
    cast = cast_for_autocast(x, None)[0]
    assert cast is not None
    if not isinstance(layer, nn.Conv2d):
        yield cast.reshape(1, -1, cast.shape[-1]).to(torch.float64, copy=True)  # the model may change x in place
        return
    geometry = conv_geometry(layer, "")
    images = cast.reshape(-1, *cast.shape[-3:])
    fan_in = prod(geometry.weight_shape[1:])
    at_once = max(1, 4 * fan_in // max(1, images.shape[-1] * images.shape[-2]))
    for start in range(0, len(images), at_once):
        yield _patches(geometry, images[start : start + at_once].double())


def _patches(geometry: ConvGeometry, x: Tensor) -> Tensor:
    """Return the patches of x, (N, C, H, W), at all positions: (groups, N · positions, fan-in)."""
    padded, padding = pad_input(x, geometry.borders, geometry.padding_mode)
    columns = F.unfold(padded, geometry.kernel_size, geometry.dilation, padding, geometry.stride)
    grouped = columns.view(len(x), geometry.groups, -1, columns.shape[-1])  # (N, groups, fan-in, positions)
    return grouped.permute(1, 0, 3, 2).flatten(1, 2)


def _shortened(rows: Tensor) -> Tensor:
    """Return at most fan-in rows that span the same space, if there are more than twice as many."""
    return torch.linalg.qr(rows, mode="r").R if rows.shape[1] > 2 * rows.shape[2] else rows


def _basis(rows: Tensor) -> Tensor:
    """Return an orthonormal basis of the space that rows span: (rank, fan-in)."""
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    basis: Tensor = directions[TOLERANCE * sizes[:1] < sizes]
    return basis


def _without(change: Tensor, seen: Tensor) -> Tensor:
    """Return ``change`` without its part in the space with basis ``seen``."""
    for _ in range(2):  # a second time for what rounding leaves
        change = change - (change @ seen.t()) @ seen
    return change if len(seen) < change.shape[1] else torch.zeros_like(change)


def _relative_response(change: Tensor, weight: Tensor, inputs: Tensor) -> float:
    moved, whole = (
        torch.stack([(part @ rows.t()).norm() for part, rows in zip(w.chunk(len(inputs)), inputs, strict=True)]).norm()
        for w in (change, weight)
    )
    return float(moved / whole.clamp(min=torch.finfo(torch.float64).tiny))  # without any response: 0
