"""How a rule's feedback stands to backprop's: matrix angles, δ angles and norm ratios, layer by layer."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nowt.layers.attach import using_backprop
from nowt.rules.base import FeedbackLayer
from nowt.store.records import Layer

Loss = Callable[[Tensor, Tensor], Tensor]


def angle(a: Tensor, b: Tensor) -> float:
    """Degrees between two tensors of one shape, in float64; NaN where one of them is 0 or not finite.

    2·atan2(‖u−v‖, ‖u+v‖) on unit vectors stays exact near 0, where arccos loses half its digits.
    """
    return float(row_angles(a.reshape(1, -1), b.reshape(1, -1)))


def row_angles(a: Tensor, b: Tensor) -> Tensor:
    """Degrees between the rows of two (n, d) tensors: (n,), NaN where a row is 0."""
    a, b = a.detach().double(), b.detach().double()
    u, v = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    return torch.rad2deg(2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1)))


def measure_alignment(
    model: nn.Module, layers: Sequence[FeedbackLayer], x: Tensor, y: Tensor, loss: Loss
) -> tuple[Layer, ...]:
    """Every layer's alignment on the probe batch ``x``, (n, channels, height, width), with labels ``y``, (n,).

    δ is taken at the layer's output, in train mode, with the same W once through the rule's way back and once through
    backprop's; its angle is the mean over samples. Nothing of the model changes, running statistics included.
    """
    if not layers:
        return ()
    ours = error_signals(model, layers, x, y, loss)
    with using_backprop(layers):
        theirs = error_signals(model, layers, x, y, loss)
    return tuple(_layer(layer, i, ours.get(layer.name), theirs.get(layer.name)) for i, layer in enumerate(layers))


def error_signals(
    model: nn.Module, layers: Sequence[FeedbackLayer], x: Tensor, y: Tensor, loss: Loss
) -> dict[str, Tensor]:
    """δ at the output of each layer that the error reaches, by the layer's name; in train mode."""
    found: dict[str, Tensor] = {}

    def watch(layer: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(layer, FeedbackLayer)
        name = layer.name
        output.register_hook(  # type: ignore[no-untyped-call]
            lambda error: found.__setitem__(name, error.detach())
        )

    hooks = [layer.register_forward_hook(watch) for layer in layers]
    training = model.training
    try:
        # a model with dropout drops the same units each time, and the training's own draws stay as they were
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            _send_back(model.train(), x.detach().requires_grad_(), y, loss)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _send_back(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> None:
    # statistics are updated in copies of the buffers, so that the model's own stay as they are
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    output = torch.func.functional_call(model, buffers, (x,))
    torch.autograd.grad(loss(output, y), x, allow_unused=True)


def _layer(layer: FeedbackLayer, depth: int, ours: Tensor | None, theirs: Tensor | None) -> Layer:
    weight, feedback = layer.weight.detach(), layer.rule.feedback(layer).detach()
    size = float(weight.double().norm())
    ratio = float(feedback.double().norm()) / size if size > 0 else math.nan
    # direct feedback has another shape than W, and no angle to it
    matrix = angle(feedback, weight) if feedback.shape == weight.shape else math.nan
    return Layer(layer.name, depth, matrix, _delta_angle(ours, theirs), ratio)


def _delta_angle(ours: Tensor | None, theirs: Tensor | None) -> float:
    """Mean over the samples whose δ exists; NaN where none does."""
    if ours is None or theirs is None:
        return math.nan
    return float(row_angles(ours.flatten(1), theirs.flatten(1)).nanmean())
