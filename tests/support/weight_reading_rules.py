"""Rules that each break one promise in one line: they read W, or change state that is not theirs."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nowt.rules.base import FeedbackLayer, Moment
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror

Layers = Sequence[FeedbackLayer]

Learns = Literal["", "gradient", "mirror", "weight"]


def hook(weight: Tensor, act: Callable[[Tensor], object]) -> None:
    """Call ``act`` with the gradient of ``weight`` in the backward pass."""

    def seen(gradient: Tensor) -> None:
        act(gradient)

    weight.register_hook(seen)  # type: ignore[no-untyped-call]


class UndeclaredSham(FeedbackAlignment):
    """Copies W into B after the step without declaring it."""

    learns_from: ClassVar[Learns] = "weight"

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.feedback.copy_(layer.weight.detach())
        return 0


class CopiesSlowly(FeedbackAlignment):
    """Moves B slightly towards W after the step."""

    learns_from: ClassVar[Learns] = "weight"

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.feedback.lerp_(layer.weight.detach(), 0.1)
        return 0


class KeepsACopy(FeedbackAlignment):
    """Keeps a copy of W from one step to the next."""

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.__dict__["copy"] = layer.weight.detach().clone()
        return 0


class CopiesThroughNumpy(FeedbackAlignment):
    """Copies W into B through a NumPy array that shares memory with W."""

    learns_from: ClassVar[Learns] = "weight"

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.feedback.copy_(torch.from_numpy(layer.weight.detach().numpy()))
        return 0


class CopiesOutsideTorch(FeedbackAlignment):
    """Copies W into B through a copied NumPy array, where no torch operation can be traced."""

    learns_from: ClassVar[Learns] = "weight"

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.feedback.copy_(torch.from_numpy(layer.weight.detach().numpy().copy()))
        return 0


class ReadsInForward(FeedbackAlignment):
    """Reads W when it returns B, although the value has no effect."""

    def feedback(self, layer: FeedbackLayer) -> Tensor:
        return layer.feedback + 0 * layer.weight.detach()


class CopiesInForward(FeedbackAlignment):
    """Sets B := W in every forward pass."""

    def feedback(self, layer: FeedbackLayer) -> Tensor:
        return layer.feedback.copy_(layer.weight.detach())


class CopiesInBackward(FeedbackAlignment):
    """Sets B := W in a hook of the backward pass."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        hook(layer.weight, lambda gradient: layer.feedback.copy_(layer.weight.detach()))


class CopiesInOptimizer(FeedbackAlignment):
    """Sets B := W in a hook of the optimizer's step."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        for layer in layers:
            optimizer.register_step_post_hook(lambda *_, layer=layer: layer.feedback.copy_(layer.weight.detach()))


class MirrorsThroughTranspose(WeightMirror):
    """Also sends noise through the transpose of W."""

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers[-1:]:
            torch.ones(3, len(layer.weight)) @ layer.weight.detach().flatten(1)
        return super().after_step(layers, moment)


class ScalesFixedB(FeedbackAlignment):
    """Changes a B that should be fixed."""

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.feedback.mul_(1.01)
        return 0


class ResetsBiases(FeedbackAlignment):
    """Changes a bias after the step."""

    def after_step(self, layers: Layers, moment: Moment) -> int:
        for layer in layers:
            layer.bias is not None and layer.bias.data.zero_()
        return 0


class StaleSigns(SignSymmetry):
    """Keeps the initial signs of W."""

    def after_step(self, layers: Layers, moment: Moment) -> int:
        return 0
