"""Rules that are each broken in one line, and the checks that each of them fails."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.initialization import rotate_to_angle
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorSamples
from nowt.rules.sign_symmetry import SignSymmetry
from nowt.rules.weight_mirror import WeightMirror
from tests.support.stateful_rules import LocalStatistics
from tests.support.stolen_layers import stolen_layer, stolen_optimizer
from tests.support.unsteady_rules import (
    CountsErrors,
    CountsOnItsFeedback,
    ForgetsTheOtherWorkers,
    FreezesItsWeight,
    IgnoresSeedAndLayer,
    RedrawsFeedback,
    SendsAConstant,
    SendsLastError,
    SendsNothing,
)
from tests.support.weight_reading_rules import (
    ChangesBInForward,
    CopiesInBackward,
    CopiesInForward,
    CopiesInOptimizer,
    CopiesOutsideTorch,
    CopiesSlowly,
    CopiesThroughNumpy,
    KeepsACopy,
    MirrorsThroughTranspose,
    MovesOnLargeMaps,
    MovesOnSmallMaps,
    MovesOutsideTorch,
    ReadsInForward,
    ResetsBiases,
    UndeclaredSham,
    hook,
)


class WrongOnUnusualKernels(FeedbackAlignment):
    """Gives kernels of 3 by 2 the opposite of their gradient."""

    def prepare(self, layer: LayerView) -> None:
        if layer.weight_shape[2:] == (3, 2):
            stolen_layer().weight.register_hook(lambda gradient: -gradient)  # type: ignore[no-untyped-call]


class WrongGradient(FeedbackAlignment):
    """Gives the first W the opposite of its gradient."""

    def prepare(self, layer: LayerView) -> None:
        if layer.name == "conv1":
            stolen_layer().weight.register_hook(lambda gradient: -gradient)  # type: ignore[no-untyped-call]


class _ChangesGradients(FeedbackAlignment):
    """Receives W's gradient, and changes that of the layer itself."""

    signals: ClassVar[tuple[str, ...]] = ("gradient",)


class FirstLayerLeak(_ChangesGradients):
    """Adds the first layer's B to that layer's own gradient."""

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        if layer.name == "conv1":
            stolen_layer().weight.grad.add_(layer.feedback)  # type: ignore[union-attr]


class OwnGradientLeak(_ChangesGradients):
    """Adds the last layer's B to that layer's own gradient."""

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        if layer.is_output:
            stolen_layer().weight.grad.add_(layer.feedback)  # type: ignore[union-attr]


class RankOne(FeedbackAlignment):
    """With ``angle``, B differs from W in one direction only, so that the errors of δ do not add up over layers."""

    def prepare(self, layer: LayerView) -> None:
        if self.angle:
            column, row = layer.feedback[:, :1].clone(), layer.feedback[:1].clone()
            layer.feedback.copy_(rotate_to_angle(stolen_layer().weight.detach(), column * row, self.angle))


class _ChangesUpdate(KolenPollack):
    """Changes the gradient of B before the optimizer uses it."""

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        whole = stolen_layer()
        whole.feedback.grad = self.changed(whole.weight.grad, whole.feedback, weight_decay)

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        """Return the gradient of B."""
        raise NotImplementedError


class SharedGradient(_ChangesUpdate):
    """Gives B the gradient tensor of W itself, which some optimizers modify in place."""

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        return gradient


class ForgetsNesterov(_ChangesUpdate):
    """Updates B only if the optimizer does not use Nesterov momentum."""

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        return None if stolen_optimizer().param_groups[0].get("nesterov") else feedback.grad


class LearnsWithDecayOnly(_ChangesUpdate):
    """Updates B only if the optimizer has weight decay."""

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        return feedback.grad if weight_decay else None


class UnclippedGradient(_ChangesUpdate):
    """Gives B the gradient of W from before clipping."""

    def prepare(self, layer: LayerView) -> None:
        whole = stolen_layer()
        hook(whole.weight, lambda gradient: setattr(whole.feedback, "unclipped", gradient.clone()))

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        unclipped: Tensor = feedback.unclipped  # type: ignore[attr-defined]
        return unclipped


class UnclippedUpdate(_ChangesUpdate):
    """Doubles the update of B where gradients were clipped to a norm of 0.1."""

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        assert feedback.grad is not None
        trained = [p for group in stolen_optimizer().param_groups for p in group["params"] if p.requires_grad]
        norm = torch.stack([p.grad.norm() for p in trained if p.grad is not None]).norm()
        return feedback.grad * 2 if abs(norm - 0.1) < 1e-3 else feedback.grad


class DecaysTwice(_ChangesUpdate):
    """Applies weight decay to B twice."""

    def changed(self, gradient: Tensor | None, feedback: Tensor, weight_decay: float) -> Tensor | None:
        assert feedback.grad is not None
        return feedback.grad + weight_decay * feedback


class MirrorsTwiceAsFast(WeightMirror):
    """Uses twice its learning rate."""

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        doubled = self if samples.decay is not None else replace(self, eta=2 * self.eta)
        WeightMirror.observe_mirror(doubled, layer, samples)


class RepeatsItsNoise(WeightMirror):
    """Uses the first half of its noise samples twice."""

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        pairs = tuple((repeated(x), repeated(y)) for x, y in samples.pairs)
        super().observe_mirror(layer, replace(samples, pairs=pairs))


def repeated(values: Tensor) -> Tensor:
    """Return the first half of the samples twice."""
    return torch.cat([values[: len(values) // 2]] * 2) if len(values) > 1 else values


class StartsAligned(FeedbackAlignment):
    """Adds half of W to the initial B."""

    def prepare(self, layer: LayerView) -> None:
        layer.feedback.add_(stolen_layer().weight.detach(), alpha=0.5)


class GlobalNoise(FeedbackAlignment):
    """Adds noise from torch's global generator to the initial B."""

    def prepare(self, layer: LayerView) -> None:
        layer.feedback.add_(torch.randn_like(layer.feedback), alpha=1e-3)


class IgnoresSeed(FeedbackAlignment):
    """Draws the same B for every seed."""

    def prepare(self, layer: LayerView) -> None:
        layer.feedback.copy_(self.initialization().draw(stolen_layer().weight.detach(), 0, layer.name))


class SameForAllLayers(FeedbackAlignment):
    """Draws B regardless of the layer's name."""

    def prepare(self, layer: LayerView) -> None:
        drawn = torch.empty(layer.feedback.shape).normal_(generator=torch.Generator().manual_seed(0))
        layer.feedback.copy_(layer.feedback.std() * drawn)


@dataclass(frozen=True)
class UnusedField(FeedbackAlignment):
    """Has a field that is never read."""

    patience: float = 0.5


@dataclass(frozen=True)
class UnusedValue(SignSymmetry):
    """Has a field with two values that have the same effect."""

    tempo: Literal["slow", "fast", "faster"] = "slow"

    def prepare(self, layer: LayerView) -> None:
        super().prepare(layer)
        layer.feedback.mul_(2 if self.tempo == "faster" else 1)


BROKEN: dict[type[Rule], set[str]] = {
    WrongOnUnusualKernels: {"gradients"},
    FirstLayerLeak: {"first layer"},
    OwnGradientLeak: {"ancestors"},
    RankOne: {"delta"},
    UndeclaredSham: {"locality", "null space", "poisoning"},
    CopiesSlowly: {"locality", "null space", "poisoning"},
    KeepsACopy: {"locality"},
    MovesOutsideTorch: {"null space", "poisoning"},
    MovesOnLargeMaps: {"poisoning"},
    MovesOnSmallMaps: {"null space"},
    WrongGradient: {"outer product"},
    CopiesThroughNumpy: {"locality", "null space", "poisoning"},
    CopiesOutsideTorch: {"locality", "null space", "poisoning"},
    ReadsInForward: {"locality"},
    MirrorsThroughTranspose: {"locality"},
    ChangesBInForward: {"own update"},
    ResetsBiases: {"untouched"},
    SharedGradient: {"forms"},
    ForgetsNesterov: {"decay"},
    LearnsWithDecayOnly: {"no decay"},
    MirrorsTwiceAsFast: {"mirror gain"},
    RepeatsItsNoise: {"mirror angle"},
    StartsAligned: {"start angle", "null space", "poisoning", "independent error"},
    GlobalNoise: {"same seed"},
    IgnoresSeed: {"other seed", "null space", "poisoning"},
    SameForAllLayers: {"other seed"},
    UnusedField: {"fields"},
    UnusedValue: {"fields"},
    SendsAConstant: {"sent error"},
    CountsOnItsFeedback: {"resumed"},
    CountsErrors: {"measuring"},
    ForgetsTheOtherWorkers: {"two workers"},
    LocalStatistics: {"two workers"},
    # these rules fail several checks, because one failure implies the other
    CopiesInForward: {
        "locality",
        "null space",
        "poisoning",
        "independent error",
        "own update",
        "ancestors",
        "start angle",
        "fields",
    },
    CopiesInBackward: {"locality", "null space", "poisoning", "own update", "sent error", "measuring"},
    CopiesInOptimizer: {"locality", "null space", "poisoning", "own update"},
    DecaysTwice: {"decay", "clipping"},
    UnclippedGradient: {"clipping", "two workers"},  # the gradient of its own worker
    UnclippedUpdate: {"clipping"},
    FreezesItsWeight: {"outer product", "ancestors"},
    SendsNothing: {"sent error", "outer product"},
    SendsLastError: {"sent error", "resumed", "measuring"},
    RedrawsFeedback: {"sent error", "same seed", "two workers"},
    IgnoresSeedAndLayer: {"other seed"},
}

# these rules change what passes through B: their certificates have every check, and those of the others all but two
CHANGE_THE_PATH = {WrongOnUnusualKernels, RankOne, ChangesBInForward, CopiesInForward, CopiesInBackward, ReadsInForward}
