"""Rules that are broken in one line each, and the promises that this line breaks."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nowt.rules.base import FeedbackLayer, Rule
from nowt.rules.feedback import at_angle
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
    """Sends the error through B with its outputs in reverse."""

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
    """At a chosen angle, B differs from W in one direction only, so that layers' losses of δ do not multiply."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        if self.angle:
            column, row = layer.feedback[:, :1].clone(), layer.feedback[:1].clone()
            layer.feedback.copy_(at_angle(layer.weight.detach(), column * row, self.angle))


class SharedGradient(KolenPollack):
    """Gives B the gradient of W itself, which some optimisers write to."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        for layer in layers:
            layer.feedback.grad = layer.weight.grad


class ForgetsNesterov(KolenPollack):
    """Lets B learn only where the optimiser does not look ahead."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        super().before_step([] if optimizer.param_groups[0].get("nesterov") else layers, optimizer)


class LearnsWithDecayOnly(KolenPollack):
    """Lets B learn only where the optimiser has decay."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        super().before_step(layers if optimizer.param_groups[0]["weight_decay"] else [], optimizer)


class UnclippedGradient(KolenPollack):
    """Gives B the gradient of W as it was before clipping."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        hook(layer.weight, lambda gradient: setattr(layer.feedback, "grad", gradient.clone()))

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        pass


class DecaysTwice(KolenPollack):
    """Decays B once more than W."""

    def before_step(self, layers: Layers, optimizer: torch.optim.Optimizer) -> None:
        super().before_step(layers, optimizer)
        for layer in layers:
            layer.feedback.grad = layer.feedback.grad + optimizer.param_groups[0]["weight_decay"] * layer.feedback


class MirrorsTwiceAsFast(WeightMirror):
    """Takes twice its rate."""

    def _rate(self, layer: FeedbackLayer, x: Tensor) -> Tensor | float:
        return 2 * super()._rate(layer, x)


class RepeatsItsNoise(WeightMirror):
    """Shows the first half of the noise twice."""

    def _draw(self, layer: FeedbackLayer, stream: torch.Generator) -> Tensor:
        x = super()._draw(layer, stream)
        return torch.cat([x[: len(x) // 2]] * 2) if len(x) > 1 else x


class StartsAligned(FeedbackAlignment):
    """Starts with half of W in B."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.feedback.add_(layer.weight.detach(), alpha=0.5)


class GlobalNoise(FeedbackAlignment):
    """Adds a little noise from torch's global generator."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, seed)
        layer.feedback.add_(torch.randn_like(layer.weight), alpha=1e-3)


class DeafToSeed(FeedbackAlignment):
    """Draws the same B whatever the seed."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        super().prepare(layer, 0)


class SameForAllLayers(FeedbackAlignment):
    """Draws B without the layer's name."""

    def prepare(self, layer: FeedbackLayer, seed: int) -> None:
        layer.__dict__["name"], name = "layer", layer.name
        super().prepare(layer, seed)
        layer.__dict__["name"] = name


@dataclass(frozen=True)
class UnusedField(FeedbackAlignment):
    """Has a field that nothing reads."""

    patience: float = 0.5


@dataclass(frozen=True)
class UnusedValue(SignSymmetry):
    """Has a field of which two values mean the same."""

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
    DeafToSeed: {"other seed"},
    SameForAllLayers: {"other seed"},
    UnusedField: {"fields"},
    UnusedValue: {"fields"},
    # where one promise follows from another, both fall
    CopiesInForward: {"locality", "own update", "ancestors", "start angle", "fields"},
    CopiesInBackward: {"locality", "own update"},
    CopiesInOptimizer: {"locality", "own update"},
    DecaysTwice: {"decay", "clipping"},
}
