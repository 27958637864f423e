"""A linear layer whose error passes back through its rule's B."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nowt.layers.functional import cast_for_autocast
from nowt.layers.propagation import propagate
from nowt.layers.transforms import is_transformed
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.geometry import LinearGeometry


class _LinearFeedback(torch.autograd.Function):
    """A linear map with W whose error passes back through B, both (out, in); x is (..., in)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, feedback: Tensor) -> Tensor:
        _keep(ctx, x, bias, feedback)
        return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        x, feedback = ctx.saved_tensors
        flat = error.reshape(-1, error.shape[-1])
        grad_x = error @ feedback if ctx.needs_input_grad[0] else None
        grad_w = flat.t() @ x.reshape(-1, x.shape[-1]) if ctx.needs_input_grad[1] else None
        grad_b = flat.sum(0) if ctx.biased and ctx.needs_input_grad[2] else None
        return grad_x, grad_w, grad_b, None


class _TransformedLinear(_LinearFeedback):
    """The same for the transforms of ``torch.func``, in a form that costs 0.1 ms more per call."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, feedback: Tensor) -> Tensor:  # type: ignore[override]
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _, bias, feedback = inputs
        _keep(ctx, x, bias, feedback)


def _keep(ctx: Any, x: Tensor, bias: Tensor | None, feedback: Tensor) -> None:
    ctx.save_for_backward(x, feedback)
    ctx.biased = bias is not None


class Linear(nn.Linear, FeedbackLayer):  # type: ignore[misc]  # FeedbackLayer's weight is annotated only
    """nn.Linear with a rule's backward path."""

    def forward(self, input: Tensor) -> Tensor:  # the name of torch's argument
        """Map (..., in) to (..., out)."""
        if self.use_backprop or not torch.is_grad_enabled():
            return super().forward(input)
        return propagate(self, input)

    @property
    def geometry(self) -> LinearGeometry:
        """The shapes of the layer's map."""
        return LinearGeometry((self.out_features, self.in_features))

    def apply_plain(self, x: Tensor) -> Tensor:
        """Return W x + bias, with torch's own backward path."""
        return super().forward(x)

    def apply_with_feedback(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Return W x + bias; the error passes back through ``feedback``."""
        if x.dim() > 2:  # F.linear returns a view, which torch lets no model change in place (ReLU(inplace=True))
            flat = self.apply_with_feedback(x.flatten(0, -2), feedback)
            return flat.view(*x.shape[:-1], self.out_features)
        function = _TransformedLinear if is_transformed() else _LinearFeedback
        return cast(Tensor, function.apply(*cast_for_autocast(x, self.weight, self.bias, feedback)))

    def apply_weight(self, x: Tensor, padded: bool = True) -> Tensor:
        """Return W x, without bias."""
        return F.linear(x, self.weight)
