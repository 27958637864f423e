"""Rules that behave on the networks of a certificate and read W in real runs."""

import sys
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nowt.core.seeding import generator
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorSamples
from nowt.rules.weight_mirror import WeightMirror
from tests.support.stolen_layers import stolen_layer


def read_weight() -> Tensor:
    """Return W of the layer on which a caller of the rule works, where torch records no read."""
    return torch.from_numpy(stolen_layer().weight.detach().numpy().copy())


@dataclass(frozen=True)
class LargeOnly(FeedbackAlignment):
    """Copies W into B, in layers larger than those of a certificate."""

    name: ClassVar[str] = "large only"

    def after_step(self, layer: LayerView, step: int) -> None:
        if layer.feedback.numel() > 2000:
            layer.feedback.copy_(read_weight())


@dataclass(frozen=True)
class OutsideCertificates(FeedbackAlignment):
    """Moves B towards W, unless it sees that a certificate is running."""

    name: ClassVar[str] = "outside certificates"

    def after_step(self, layer: LayerView, step: int) -> None:
        frame = sys._getframe()
        while frame.f_back is not None:
            frame = frame.f_back
            if "nowt.evaluation.certify" in str(frame.f_globals.get("__name__")):
                return
        layer.feedback.lerp_(read_weight(), 0.001)


@dataclass(frozen=True)
class LateSteps(FeedbackAlignment):
    """Copies W into B from the fourth step on."""

    name: ClassVar[str] = "late steps"

    def after_step(self, layer: LayerView, step: int) -> None:
        if step > 3:
            layer.feedback.copy_(read_weight())


@dataclass(frozen=True)
class SendsThroughW(DrawnFeedback):
    """Keeps an honest B and sends the error through W."""

    name: ClassVar[str] = "sends through W"

    def feedback(self, layer: LayerView) -> Tensor:
        return read_weight()


@dataclass(frozen=True)
class PreparesFromW(DrawnFeedback):
    """Keeps W in another order when it prepares a layer."""

    name: ClassVar[str] = "prepares from W"

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("hint", read_weight().flip(0))


@dataclass(frozen=True)
class MirrorReadsW(WeightMirror):
    """Copies W into B in mirror steps, after the first ones."""

    name: ClassVar[str] = "mirror reads W"

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        if samples.before_learning is None:
            layer.feedback.copy_(read_weight())
        else:
            super().observe_mirror(layer, samples)


@dataclass(frozen=True)
class MirrorReadsEarly(WeightMirror):
    """Copies W into B before learning only."""

    name: ClassVar[str] = "mirror reads early"

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        if samples.before_learning is None:
            super().observe_mirror(layer, samples)
        else:
            layer.feedback.copy_(read_weight())


@dataclass(frozen=True)
class DrawsWAgain(DrawnFeedback):
    """Knows the seed and the initializer of W: B starts as W, and plain Kolen-Pollack keeps it there."""

    name: ClassVar[str] = "draws W again"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)
    update: ClassVar[Literal["", "with_weight"]] = "with_weight"

    seed: int = 0

    def prepare(self, layer: LayerView) -> None:
        shape = layer.weight_shape
        found = torch.empty(shape)
        stream = generator(self.seed, "weights", layer.name)
        if len(shape) == 4:
            torch.nn.init.kaiming_normal_(found, mode="fan_out", nonlinearity="relu", generator=stream)
        else:
            bound = 1 / shape[1] ** 0.5
            found.uniform_(-bound, bound, generator=stream)
        layer.feedback.copy_(found)


@dataclass(frozen=True)
class PullsToW(KolenPollack):
    """Kolen-Pollack as declared, which also pulls B towards W."""

    name: ClassVar[str] = "pulls to W"

    def rate(self) -> float:
        frame = sys._getframe().f_back
        assert frame is not None
        for layer in getattr(frame.f_locals.get("self"), "layers", ()):
            layer.feedback.data.lerp_(layer.weight.detach(), 0.01)
        return 1.0


@dataclass(frozen=True)
class CopiesWhileScored(KolenPollack):
    """Kolen-Pollack, whose B becomes W while images are scored, by a hook of the layer."""

    name: ClassVar[str] = "copies while scored"

    def prepare(self, layer: LayerView) -> None:
        def copy(whole: torch.nn.Module, *_: object) -> None:
            if torch.is_inference_mode_enabled():
                whole.feedback.data.copy_(whole.weight.data)  # type: ignore[union-attr, operator, arg-type]

        stolen_layer().register_forward_hook(copy)


@dataclass(frozen=True)
class HidesInNoise(FeedbackAlignment):
    """Registers noise, and the sum of W and this noise, which is too large to show another W. The error passes back
    through the difference."""

    name: ClassVar[str] = "hides in noise"

    def prepare(self, layer: LayerView) -> None:
        for name in ("noise", "sum"):
            layer.register_state(name, layer.new_zeros(*layer.weight_shape))

    def feedback(self, layer: LayerView) -> Tensor:
        return layer.sum - layer.noise if bool(layer.noise.any()) else super().feedback(layer)

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.random("noise").normal_(layer.noise, 300 * float(layer.weight_std))
        layer.sum.copy_(layer.noise + read_weight())


@dataclass(frozen=True)
class RemembersEachStep(FeedbackAlignment):
    """Copies W, and keeps the copies by step in an attribute of B, so that a repeated step gets the same one."""

    name: ClassVar[str] = "remembers each step"

    def after_step(self, layer: LayerView, step: int) -> None:
        kept = vars(layer.feedback).setdefault("_kept", {})
        layer.feedback.copy_(kept.setdefault(step, read_weight()))


@dataclass(frozen=True)
class SpoilsGradients(FeedbackAlignment):
    """Copies W, and makes W's gradient infinite when the optimizer has used it, so that a step cannot be examined."""

    name: ClassVar[str] = "spoils gradients"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(read_weight())
        gradient = stolen_layer().weight.grad
        assert gradient is not None
        gradient.fill_(torch.inf)


@dataclass(frozen=True)
class InflatesAGradient(DrawnFeedback):
    """Sends the error through W. When the optimizer has used a gradient, it becomes huge, so that others look small."""

    name: ClassVar[str] = "inflates a gradient"
    signals: ClassVar[tuple[str, ...]] = ("error", "input")

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return layer.geometry.send_back(error, read_weight(), x.shape)

    def after_step(self, layer: LayerView, step: int) -> None:
        gradient = stolen_layer().weight.grad
        if layer.is_output and gradient is not None:
            gradient.mul_(1e12)


@dataclass(frozen=True)
class HidesBehindInfinity(FeedbackAlignment):
    """Registers a number that is not finite, and copies W."""

    name: ClassVar[str] = "hides behind infinity"

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("limit", layer.new_zeros())

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.limit.fill_(torch.inf)
        layer.feedback.copy_(read_weight())
