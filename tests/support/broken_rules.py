"""Rules that are each broken in one line, and the checks that each of them fails."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nowt.rules.base import FeedbackLayer, Rule
from nowt.rules.feedback import rotate_to_angle
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror
from tests.support.weight_reading_rules import (
    CopiesInBackward,
    CopiesInForward,
    CopiesInOptimizer,
    CopiesOutsideTorch,
    CopiesSlowly,
    CopiesThroughNumpy,
    KeepsACopy,
    Layers,
    MirrorsThroughTranspose,
    ReadsInForward,
    ResetsBiases,
    ScalesFixedB,
    StaleSigns,
    UndeclaredSham,
    hook,
)


class UpsideDown(FeedbackAlignment):
    """Sends the error through B with its output units in reverse order."""

    def feedback(self, layer: FeedbackLayer) -> Tensor:
        return layer.feedback.flip(0)


class FirstLayerLeak(FeedbackAlignment):
    """Adds the first layer's B to that layer's own gradient."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        layers[0].weight.grad.add_(layers[0].feedback)  # type: ignore[union-attr]


class OwnGradientLeak(FeedbackAlignment):
    """Adds the last layer's B to that layer's own gradient."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        layers[-1].weight.grad.add_(layers[-1].feedback)  # type: ignore[union-attr]


class RankOne(FeedbackAlignment):
    """With ``angle``, B differs from W in one direction only, so that the errors of δ do not add up over layers."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        if self.angle:
            column, row = layer.feedback[:, :1].clone(), layer.feedback[:1].clone()
            layer.feedback.copy_(rotate_to_angle(layer.weight.detach(), column * row, self.angle))


class SharedGradient(KolenPollack):
    """Gives B the gradient tensor of W itself, which some optimizers modify in place."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        for layer in layers:
            layer.feedback.grad = layer.weight.grad


class ForgetsNesterov(KolenPollack):
    """Updates B only if the optimizer does not use Nesterov momentum."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        super().before_step([] if optimizer.param_groups[0].get("nesterov") else layers, optimizer)


class LearnsWithDecayOnly(KolenPollack):
    """Updates B only if the optimizer has weight decay."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        super().before_step(layers if optimizer.param_groups[0]["weight_decay"] else [], optimizer)


class UnclippedGradient(KolenPollack):
    """Gives B the gradient of W from before clipping."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        hook(layer.weight, lambda gradient: setattr(layer.feedback, "grad", gradient.clone()))

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        pass


class DecaysTwice(KolenPollack):
    """Applies weight decay to B twice."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        super().before_step(layers, optimizer)
        for layer in layers:
            layer.feedback.grad = layer.feedback.grad + optimizer.param_groups[0]["weight_decay"] * layer.feedback


class MirrorsTwiceAsFast(WeightMirror):
    """Uses twice its learning rate."""

    def _rate(self, layer: FeedbackLayer, x: Tensor) -> Tensor | float:
        return 2 * super()._rate(layer, x)


class RepeatsItsNoise(WeightMirror):
    """Uses the first half of its noise samples twice."""

    def _draw(self, layer: FeedbackLayer, stream: torch.Generator) -> Tensor:
        x = super()._draw(layer, stream)
        return torch.cat([x[: len(x) // 2]] * 2) if len(x) > 1 else x


class StartsAligned(FeedbackAlignment):
    """Adds half of W to the initial B."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.feedback.add_(layer.weight.detach(), alpha=0.5)


class GlobalNoise(FeedbackAlignment):
    """Adds noise from torch's global generator to the initial B."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.feedback.add_(torch.randn_like(layer.weight), alpha=1e-3)


class IgnoresSeed(FeedbackAlignment):
    """Draws the same B for every seed."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, 0)


class SameForAllLayers(FeedbackAlignment):
    """Draws B regardless of the layer's name."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        layer.__dict__["name"], name = "layer", layer.name
        super().prepare(layer, seed)
        layer.__dict__["name"] = name


@dataclass(frozen=True)
class UnusedField(FeedbackAlignment):
    """Has a field that is never read."""

    patience: float = 0.5


@dataclass(frozen=True)
class UnusedValue(SignSymmetry):
    """Has a field with two values that have the same effect."""

    tempo: Literal["slow", "fast", "faster"] = "slow"

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.feedback.mul_(2 if self.tempo == "faster" else 1)


BROKEN: dict[type[Rule], set[str]] = {
    UpsideDown: {"gradients"},
    FirstLayerLeak: {"first layer"},
    OwnGradientLeak: {"ancestors"},
    RankOne: {"delta"},
    UndeclaredSham: {"locality"},
    CopiesSlowly: {"locality"},
    KeepsACopy: {"locality"},
    CopiesThroughNumpy: {"locality"},
    CopiesOutsideTorch: {"locality"},
    ReadsInForward: {"locality"},
    MirrorsThroughTranspose: {"locality"},
    ScalesFixedB: {"own update"},
    ResetsBiases: {"untouched"},
    StaleSigns: {"signs"},
    SharedGradient: {"forms"},
    ForgetsNesterov: {"decay"},
    LearnsWithDecayOnly: {"no decay"},
    UnclippedGradient: {"clipping"},
    MirrorsTwiceAsFast: {"mirror gain"},
    RepeatsItsNoise: {"mirror angle"},
    StartsAligned: {"start angle"},
    GlobalNoise: {"same seed"},
    IgnoresSeed: {"other seed"},
    SameForAllLayers: {"other seed"},
    UnusedField: {"fields"},
    UnusedValue: {"fields"},
    # these rules fail several checks, because one failure implies the other
    CopiesInForward: {"locality", "own update", "ancestors", "start angle", "fields"},
    CopiesInBackward: {"locality", "own update"},
    CopiesInOptimizer: {"locality", "own update"},
    DecaysTwice: {"decay", "clipping"},
}
