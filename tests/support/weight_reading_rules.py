"""Rules that each break one promise in one line: they read W, or change state that is not theirs."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorSamples
from nowt.rules.weight_mirror import WeightMirror
from tests.support.stolen_layers import stolen_layer, stolen_optimizer


def hook(weight: Tensor, act: Callable[[Tensor], object]) -> None:
    """Call ``act`` with the gradient of ``weight`` in the backward pass."""

    def seen(gradient: Tensor) -> None:
        act(gradient)

    weight.register_hook(seen)  # type: ignore[no-untyped-call]


class UndeclaredSham(FeedbackAlignment):
    """Copies W into B after the step without declaring it."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(stolen_layer().weight.detach())


class CopiesSlowly(FeedbackAlignment):
    """Moves B slightly towards W after the step."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.lerp_(stolen_layer().weight.detach(), 0.1)


class KeepsACopy(FeedbackAlignment):
    """Keeps a copy of W from one step to the next."""

    def after_step(self, layer: LayerView, step: int) -> None:
        stolen_layer().__dict__["copy"] = stolen_layer().weight.detach().clone()


class CopiesThroughNumpy(FeedbackAlignment):
    """Copies W into B through a NumPy array that shares memory with W."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(torch.from_numpy(stolen_layer().weight.detach().numpy()))


class CopiesOutsideTorch(FeedbackAlignment):
    """Copies W into B through a copied NumPy array, where no torch operation can be traced."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(torch.from_numpy(stolen_layer().weight.detach().numpy().copy()))


class MovesOutsideTorch(FeedbackAlignment):
    """Moves B slightly towards W, through a copied NumPy array."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.lerp_(torch.from_numpy(stolen_layer().weight.detach().numpy().copy()), 0.05)


class MovesOnLargeMaps(FeedbackAlignment):
    """Moves B slightly towards W where the layer sees more positions than it has inputs."""

    def after_step(self, layer: LayerView, step: int) -> None:
        if layer.input_shape[-1] == 8:
            layer.feedback.lerp_(torch.from_numpy(stolen_layer().weight.detach().numpy().copy()), 0.05)


class MovesOnSmallMaps(FeedbackAlignment):
    """Moves B slightly towards W in the first layer of a network with small maps."""

    def after_step(self, layer: LayerView, step: int) -> None:
        if layer.input_shape == (2, 2, 2):
            layer.feedback.lerp_(torch.from_numpy(stolen_layer().weight.detach().numpy().copy()), 0.05)


class ReadsInForward(FeedbackAlignment):
    """Reads W when it returns B, although the value has no effect."""

    def feedback(self, layer: LayerView) -> Tensor:
        return super().feedback(layer) + 0 * stolen_layer().weight.detach()


class CopiesInForward(FeedbackAlignment):
    """Sets B := W in every forward pass."""

    def feedback(self, layer: LayerView) -> Tensor:
        with torch.no_grad():
            return super().feedback(layer).copy_(stolen_layer().weight.detach())


class CopiesInBackward(FeedbackAlignment):
    """Sets B := W in a hook of the backward pass."""

    def prepare(self, layer: LayerView) -> None:
        whole = stolen_layer()
        hook(whole.weight, lambda gradient: whole.feedback.data.copy_(whole.weight.detach()))


class CopiesInOptimizer(FeedbackAlignment):
    """Sets B := W in a hook of the optimizer's step."""

    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        whole = stolen_layer()
        stolen_optimizer().register_step_post_hook(lambda *_: whole.feedback.data.copy_(whole.weight.detach()))


class MirrorsThroughTranspose(WeightMirror):
    """Also sends noise through the transpose of W."""

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        if layer.is_output:
            weight = stolen_layer().weight.detach()
            weight.new_ones(3, len(weight)) @ weight.flatten(1)
        super().observe_mirror(layer, samples)


class ChangesBInForward(FeedbackAlignment):
    """Changes B in the forward pass."""

    signals: ClassVar[tuple[str, ...]] = ("input",)

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        if x is not None and len(x) == 10 and x.dtype == torch.float32:  # the steps whose phases are watched
            layer.feedback.data.mul_(1.01)  # autograd does not notice


class ResetsBiases(FeedbackAlignment):
    """Changes a bias after the step."""

    def after_step(self, layer: LayerView, step: int) -> None:
        bias = stolen_layer().bias
        if bias is not None:
            bias.zero_()
