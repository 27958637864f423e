"""The geometry of ``nn.Conv2d``: every stride, padding, padding mode, dilation and groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.rules.geometry import Geometry, orthonormal

aten = torch.ops.aten

# of height or width: output positions, input size, kernel, stride, dilation, padding
Side = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class ConvGeometry(Geometry):
    """The geometry of a convolution; x is (N, C, H, W), W is (out, in / groups, kh, kw).

    Attributes:
        name: Dotted name of the layer, for messages.
        stride, dilation: Per side: (height, width).
        padding: Zeros at the upper and the left border. Mirror mode pads with zeros in every padding mode.
        borders: Padding as ``torch.nn.functional.pad`` takes it: left, right, top, bottom.
        padding_mode: Mode of torch's layer.
        groups: Number of groups.
        map_size: Height and width of the layer's input; None without an example input.
    """

    name: str
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    borders: tuple[int, int, int, int]
    padding_mode: str
    map_size: tuple[int, int] | None

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.weight_shape[2], self.weight_shape[3]

    @property
    def in_channels(self) -> int:
        """Number of input channels over all groups."""
        return self.weight_shape[1] * self.groups

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (self.in_channels, *(self.map_size or ()))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        if self.map_size is None:
            return (self.weight_shape[0],)
        left, right, top, bottom = self.borders
        padding = (top + bottom, left + right)
        sides = zip(self.map_size, padding, self.kernel_size, self.stride, self.dilation, strict=True)
        return (self.weight_shape[0], *((n + p - d * (k - 1) - 1) // s + 1 for n, p, k, s, d in sides))

    def outer_product(self, x: Tensor, error: Tensor, like: Tensor | None = None) -> Tensor:
        """Return Σ error xᵀ over all samples and positions, in W's shape."""
        x, padding = pad_input(x.reshape(-1, *x.shape[-3:]).to(error.dtype), self.borders, self.padding_mode)
        return self._weight_gradient(x, error.reshape(-1, *error.shape[-3:]), padding, like)

    def send_back(self, error: Tensor, feedback: Tensor, shape: torch.Size) -> Tensor:
        """Return the transposed convolution of ``error`` with ``feedback``, in ``shape``."""
        with torch.enable_grad():
            x = error.new_zeros(math.prod(shape[:-3]), *shape[-3:]).requires_grad_()
            inner, padding = pad_input(x, self.borders, self.padding_mode)
            y = torch.conv2d(inner, feedback.to(error.dtype), None, self.stride, padding, self.dilation, self.groups)
            (sent,) = torch.autograd.grad(y, x, error.reshape(y.shape))
        return sent.view(shape)

    def mirror_product(self, x: Tensor, y: Tensor, padded: bool = True, like: Tensor | None = None) -> Tensor:
        """Return Σ y xᵀ over samples and positions, in W's shape."""
        return self._weight_gradient(x, y, self.padding if padded else (0, 0), like)

    def _weight_gradient(self, x: Tensor, y: Tensor, padding: tuple[int, int], like: Tensor | None) -> Tensor:
        # the values of the weights are not used, only their shape and layout
        weights = x.new_empty(self.weight_shape) if like is None else like
        grads = aten.convolution_backward(
            y, x, weights, None, self.stride, padding, self.dilation, False, [0, 0], self.groups, [False, True, False]
        )
        return cast(Tensor, grads[1])

    def probe_shape(self, samples: int, extent: int) -> tuple[int, ...]:
        """Return the shape of noise whose output has ``extent`` positions per side; 0: that of the layer's input."""
        if extent == 0:
            if self.map_size is None:
                raise ValueError(
                    f"rule.extent is 0, but layer {self.name} has no known input size: pass example to attach"
                )
            return samples, self.in_channels, *self.map_size
        sides = zip(self.kernel_size, self.stride, self.dilation, self.padding, strict=True)
        size = [max(1, (extent - 1) * s + d * (k - 1) + 1 - 2 * p) for k, s, d, p in sides]
        return samples, self.in_channels, *size

    def orthonormal_probes(self, like: Tensor, stream: torch.Generator) -> Tensor:
        """Return ``fan_in`` orthonormal patches with one output position, for a map without padding."""
        patches = orthonormal(self.fan_in, like, stream)
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation
        patches = patches.view(self.fan_in, -1, kh, kw).repeat(1, self.groups, 1, 1)
        probes = patches.new_zeros(*patches.shape[:2], dh * (kh - 1) + 1, dw * (kw - 1) + 1)
        probes[:, :, ::dh, ::dw] = patches
        return probes

    def positions(self, x: Tensor) -> int:
        """Return the number of samples times the number of output positions for ``x``."""
        return len(x) * math.prod(out for out, *_ in self._sides(x.shape))

    def has_unreached_weights(self, shape: tuple[int, ...]) -> bool:
        """Return whether some taps of the kernel see only padding for an input of ``shape``."""
        return any(0 in _reach_of_taps(side) for side in self._sides(shape))

    def tap_counts(self, x: Tensor) -> Tensor:
        """Return how many samples and positions reach each tap of the kernel, at least 1: (kh, kw)."""
        # a tap that no position reaches has a sum of 0, which division by 1 preserves
        return (len(x) * self._reach(x.shape, x.device)).clamp(min=1).to(x.dtype)

    def _reach(self, shape: Sequence[int], device: torch.device | None = None) -> Tensor:
        """Return how many positions of one image reach each tap: (kh, kw).

        It is computed on ``device``, since a step would wait for a copy from the CPU.
        """
        rows, columns = (_reached(side, device).sum(0) for side in self._sides(shape))
        return rows.view(-1, 1) * columns

    def sampling_error(self, shape: tuple[int, ...]) -> float:
        """Return tan² of the angle between W and the mean of y xᵀ over normal noise x of ``shape``, in expectation for
        W with independent entries.

        Without padding it is (fan-in + 1) / positions. Padding reduces both the positions that reach a tap, and the
        inputs that add to a position's response: a tap's variance is proportional to these inputs, summed over the
        positions that reach it, and divided by the square of their number.
        """
        summed, single = 1.0, 1.0
        for side in self._sides(shape):
            one = _reached(side).double()
            count, seen = one.sum(0), one.mean(1, keepdim=True)
            summed *= float(((one * seen).sum(0) / count.square()).mean())
            single *= float((1 / count).mean())
        return (self.fan_in * summed + single) / shape[0]

    def _sides(self, shape: Sequence[int]) -> tuple[Side, ...]:
        """Return the sides of a map of ``shape``: height and width."""
        sides = zip(shape[2:], self.kernel_size, self.stride, self.dilation, self.padding, strict=True)
        return tuple(((size + 2 * p - d * (k - 1) - 1) // s + 1, size, k, s, d, p) for size, k, s, d, p in sides)


def pad_input(x: Tensor, borders: tuple[int, int, int, int], padding_mode: str) -> tuple[Tensor, tuple[int, int]]:
    """Return the padded input and the zero padding that remains for the convolution to do."""
    left, right, top, bottom = borders
    if padding_mode != "zeros":
        return F.pad(x, borders, mode=padding_mode), (0, 0)
    if (left, top) == (right, bottom):
        return x, (top, left)
    # even kernel with "same": torch, too, pads the odd row and column first and leaves the rest to the convolution
    return F.pad(x, (0, right - left, 0, bottom - top)), (top, left)


def _reach_of_taps(side: Side) -> list[int]:
    """Return how many positions reach each tap, computed without tensors."""
    out, size, k, s, d, p = side
    firsts = [max(0, -((tap * d - p) // s)) for tap in range(k)]
    lasts = [min(out - 1, (size - 1 + p - tap * d) // s) for tap in range(k)]
    return [max(0, last - first + 1) for first, last in zip(firsts, lasts, strict=True)]


def _reached(side: Side, device: torch.device | None = None) -> Tensor:
    """Return whether each position reaches each tap: (positions, taps)."""
    out, size, k, s, d, p = side
    places = torch.arange(out, device=device).view(-1, 1) * s - p + torch.arange(k, device=device) * d
    return (places >= 0) & (places < size)
