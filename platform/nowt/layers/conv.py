"""A convolution whose error passes back through its rule's B."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nowt.layers.functional import cast_for_autocast, orthonormal
from nowt.rules.base import FeedbackLayer

aten = torch.ops.aten

# of height or width: output positions, input size, kernel, stride, dilation, padding
Side = tuple[int, int, int, int, int, int]


class _ConvFeedback(torch.autograd.Function):
    """A convolution with W whose error passes back through B, both (out, in / groups, kh, kw)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, feedback: Tensor, geometry: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(x, feedback)
        ctx.geometry = geometry
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        stride, padding, dilation, groups = geometry
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        # W's gradient does not depend on the weights passed here, so passing B costs no more than passing W
        x, feedback = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        needs = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.needs_input_grad[2]]
        grads = aten.convolution_backward(
            error, x, feedback, ctx.bias_sizes, stride, padding, dilation, False, [0, 0], groups, needs
        )
        return (*grads, None, None)


class Conv2d(nn.Conv2d, FeedbackLayer):  # type: ignore[misc]  # FeedbackLayer's weight is annotated only
    """nn.Conv2d with a rule's backward path, for every stride, padding, padding mode, dilation and groups."""

    def forward(self, input: Tensor) -> Tensor:  # the name of torch's argument
        """Map (N, C, H, W) or (C, H, W), the same as nn.Conv2d."""
        if self.use_backprop or not torch.is_grad_enabled():
            return super().forward(input)
        return self.rule.propagate(self, input)

    def apply_with_feedback(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Return the convolution of ``x`` with W plus bias; the error passes back through ``feedback``."""
        if x.dim() == 3:
            return self.apply_with_feedback(x.unsqueeze(0), feedback).squeeze(0)
        x, padding = self._padded(x)
        geometry = (self.stride, padding, self.dilation, self.groups)
        return cast(Tensor, _ConvFeedback.apply(*cast_for_autocast(x, self.weight, self.bias, feedback), geometry))

    def _padded(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return the padded input and the zero padding that remains for the convolution to do."""
        if self.padding_mode != "zeros":
            return F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), (0, 0)
        if self.padding == "valid":
            return x, (0, 0)
        left, right, top, bottom = self._reversed_padding_repeated_twice
        if (left, top) == (right, bottom):
            return x, (top, left)
        # even kernel with "same": torch, too, pads the odd row and column first and leaves the rest to the convolution
        extra = (0, right - left, 0, bottom - top)
        return F.pad(x, extra), (top, left)

    def _zero_padding(self) -> tuple[int, int]:
        if isinstance(self.padding, str):
            left, _, top, _ = self._reversed_padding_repeated_twice
            return top, left
        return cast("tuple[int, int]", self.padding)

    def apply_weight(self, x: Tensor, padded: bool = True) -> Tensor:
        """Return the convolution of ``x`` with W, without bias. The border is padded with zeros in every padding
        mode."""
        padding = self._zero_padding() if padded else (0, 0)
        return torch.conv2d(x, self.weight, None, self.stride, padding, self.dilation, self.groups)

    def outer_product_sum(self, x: Tensor, y: Tensor, padded: bool = True) -> Tensor:
        """Return Σ y xᵀ over samples and positions, in W's shape."""
        # only the shape of B is used, not its values
        padding = self._zero_padding() if padded else (0, 0)
        mask = [False, True, False]
        grads = aten.convolution_backward(
            y, x, self.feedback, None, self.stride, padding, self.dilation, False, [0, 0], self.groups, mask
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
        sides = zip(self.kernel_size, self.stride, self.dilation, self._zero_padding(), strict=True)
        size = [max(1, (extent - 1) * s + d * (k - 1) + 1 - 2 * p) for k, s, d, p in sides]
        return samples, self.in_channels, *size

    def orthonormal_probes(self, stream: torch.Generator) -> Tensor:
        """Return ``fan_in`` orthonormal patches with one output position, for a map without padding."""
        patches = orthonormal(self.fan_in, self.weight, stream)
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
        return not self._reach(shape).all()

    def tap_counts(self, x: Tensor) -> Tensor:
        """Return how many samples and positions reach each tap of the kernel, at least 1: (kh, kw)."""
        # a tap that no position reaches has a sum of 0, which division by 1 preserves
        return (len(x) * self._reach(x.shape, x.device)).clamp(min=1).to(x.dtype)

    def _reach(self, shape: Sequence[int], device: torch.device | None = None) -> Tensor:
        """Return how many positions of one image reach each tap: (kh, kw)."""
        return _tap_reach(self._sides(shape), device)

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
        sides = zip(shape[2:], self.kernel_size, self.stride, self.dilation, self._zero_padding(), strict=True)
        return tuple(((size + 2 * p - d * (k - 1) - 1) // s + 1, size, k, s, d, p) for size, k, s, d, p in sides)


@lru_cache(maxsize=256)
def _tap_reach(sides: tuple[Side, ...], device: torch.device | None) -> Tensor:
    """Return how many positions reach each tap of the kernel: (kh, kw).

    It is kept, since a mirror step of a small layer takes hardly longer. It is computed on ``device``, since a step
    would wait for a copy from the CPU.
    """
    rows, columns = (_reached(side, device).sum(0) for side in sides)
    return rows.view(-1, 1) * columns


def _reached(side: Side, device: torch.device | None = None) -> Tensor:
    """Return whether each position reaches each tap: (positions, taps)."""
    out, size, k, s, d, p = side
    places = torch.arange(out, device=device).view(-1, 1) * s - p + torch.arange(k, device=device) * d
    return (places >= 0) & (places < size)
