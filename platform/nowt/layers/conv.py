"""A convolution whose error passes back through its rule's B."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nowt.layers.functional import cast_for_autocast
from nowt.layers.propagation import propagate
from nowt.layers.transforms import is_transformed
from nowt.rules.conv_geometry import ConvGeometry, pad_input
from nowt.rules.feedback_layer import FeedbackLayer

aten = torch.ops.aten


class _ConvFeedback(torch.autograd.Function):
    """A convolution with W whose error passes back through B, both (out, in / groups, kh, kw)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, feedback: Tensor, geometry: tuple[Any, ...]
    ) -> Tensor:
        _keep(ctx, x, bias, feedback, geometry)
        return torch.conv2d(x, weight, bias, *geometry)

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


class _TransformedConv(_ConvFeedback):
    """The same for the transforms of ``torch.func``, in a form that costs 0.1 ms more per call."""

    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]
        x: Tensor, weight: Tensor, bias: Tensor | None, feedback: Tensor, geometry: tuple[Any, ...]
    ) -> Tensor:
        return torch.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _, bias, feedback, geometry = inputs
        _keep(ctx, x, bias, feedback, geometry)


def _keep(ctx: Any, x: Tensor, bias: Tensor | None, feedback: Tensor, geometry: tuple[Any, ...]) -> None:
    ctx.save_for_backward(x, feedback)
    ctx.geometry = geometry
    ctx.bias_sizes = None if bias is None else list(bias.shape)


def borders(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Return the padding as ``torch.nn.functional.pad`` takes it: left, right, top, bottom."""
    return cast("tuple[int, int, int, int]", tuple(conv._reversed_padding_repeated_twice))


def zero_padding(conv: nn.Conv2d) -> tuple[int, int]:
    """Return the padding at the upper and the left border."""
    if isinstance(conv.padding, str):
        left, _, top, _ = borders(conv)
        return top, left
    return cast("tuple[int, int]", conv.padding)


def conv_geometry(conv: nn.Conv2d, name: str, map_size: tuple[int, int] | None = None) -> ConvGeometry:
    """Return the shapes of the map of any convolution."""
    return ConvGeometry(
        weight_shape=(conv.out_channels, conv.in_channels // conv.groups, *conv.kernel_size),
        name=name,
        stride=cast("tuple[int, int]", conv.stride),
        padding=zero_padding(conv),
        dilation=cast("tuple[int, int]", conv.dilation),
        groups=conv.groups,
        borders=borders(conv),
        padding_mode=conv.padding_mode,
        map_size=map_size,
    )


class Conv2d(nn.Conv2d, FeedbackLayer):  # type: ignore[misc]  # FeedbackLayer's weight is annotated only
    """nn.Conv2d with a rule's backward path, for every stride, padding, padding mode, dilation and groups."""

    def forward(self, input: Tensor) -> Tensor:  # the name of torch's argument
        """Map (N, C, H, W) or (C, H, W), the same as nn.Conv2d."""
        if self.use_backprop or not torch.is_grad_enabled():
            return super().forward(input)
        return propagate(self, input)

    def apply_with_feedback(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Return the convolution of ``x`` with W plus bias; the error passes back through ``feedback``."""
        if x.dim() == 3:
            return self.apply_with_feedback(x.unsqueeze(0), feedback).squeeze(0)
        x, padding = pad_input(x, self._borders, self.padding_mode)
        geometry = (self.stride, padding, self.dilation, self.groups)
        function = _TransformedConv if is_transformed() else _ConvFeedback
        return cast(Tensor, function.apply(*cast_for_autocast(x, self.weight, self.bias, feedback), geometry))

    @property
    def _borders(self) -> tuple[int, int, int, int]:
        return borders(self)

    @property
    def geometry(self) -> ConvGeometry:
        """The shapes of the layer's map."""
        return conv_geometry(self, self.name, self.map_size)

    def apply_plain(self, x: Tensor) -> Tensor:
        """Return W x + bias, with torch's own backward path."""
        return super().forward(x)

    def apply_weight(self, x: Tensor, padded: bool = True) -> Tensor:
        """Return the convolution of ``x`` with W, without bias. The border is padded with zeros in every padding
        mode."""
        padding = zero_padding(self) if padded else (0, 0)
        return torch.conv2d(x, self.weight, None, self.stride, padding, self.dilation, self.groups)
