"""Honest rules: B learns from gradients, activity, errors or noise, in several ways, and W is never read."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.base import Rule
from nowt.rules.direct_feedback_alignment import DirectFeedbackAlignment
from nowt.rules.direct_kolen_pollack import DirectKolenPollack
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorNoise, MirrorSamples
from nowt.rules.weight_mirror import WeightMirror
from tests.support.nets import EVERY_RULE


@dataclass(frozen=True)
class HalfRate(KolenPollack):
    """Kolen-Pollack with half the rate for B."""

    name: ClassVar[str] = "half rate"

    def rate(self) -> float:
        return 0.5


@dataclass(frozen=True)
class OwnStep(DrawnFeedback):
    """B learns from W's gradient by a step of its own."""

    name: ClassVar[str] = "own step"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        layer.feedback.mul_(1 - lr * weight_decay).sub_(gradient, alpha=lr)


@dataclass(frozen=True)
class Hebbian(DrawnFeedback):
    """B drifts along the correlation of input and output, computed in one of several ways."""

    name: ClassVar[str] = "hebbian"
    signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")

    way: str = "outer_product"

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None and y is not None
        if len(layer.weight_shape) == 4 or self.way == "outer_product":
            layer.cache["product"] = layer.outer_product(x, y)
        elif self.way == "einsum":
            layer.cache["product"] = torch.einsum("bo,bi->oi", y, x)
        elif self.way == "bmm":
            layer.cache["product"] = torch.bmm(y.unsqueeze(2), x.unsqueeze(1)).sum(0)
        else:
            layer.cache["product"] = sum((torch.outer(b, a) for a, b in zip(x, y, strict=True)), torch.zeros(()))

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.99).add_(layer.sum_over_workers(layer.cache["product"]), alpha=1e-3)


@dataclass(frozen=True)
class FromErrors(DrawnFeedback):
    """B drifts along the correlation of output and error, and a registered trace of the error's size."""

    name: ClassVar[str] = "from errors"
    signals: ClassVar[tuple[str, ...]] = ("input", "error", "output_error")
    scalars: ClassVar[int] = 1  # the output error's norm

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("trace", layer.new_zeros())

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None
        layer.cache["x"] = x

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        assert error is not None and output_error is not None
        layer.cache["product"] = layer.outer_product(layer.cache["x"], error)
        layer.cache["size"] = output_error.square().sum()

    def after_step(self, layer: LayerView, step: int) -> None:
        workers = layer.sum_over_workers(layer.new_zeros().add_(1))  # each has the error of its own mean loss
        size = layer.sum_over_workers(layer.cache["size"]).sqrt() / workers
        layer.trace.lerp_(size, 0.1)
        product = layer.sum_over_workers(layer.cache["product"]) / workers
        layer.feedback.sub_(product, alpha=0.1 * float(layer.trace))


@dataclass(frozen=True)
class CentredMirror(DrawnFeedback):
    """A mirror whose responses are centred."""

    name: ClassVar[str] = "centred mirror"
    signals: ClassVar[tuple[str, ...]] = ("mirror",)

    def mirror_noise(self) -> MirrorNoise:
        return MirrorNoise(kind="sign", samples=8, warmup=2, interval=1, receiver_noise=0.1, through="nonlinearity")

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        mean = samples.mean(lambda x, y: samples.product(x, layer.center(y)))
        layer.feedback.mul_(0.9).add_(mean / samples.terms, alpha=0.1)


@dataclass(frozen=True)
class FirstLayers(DrawnFeedback):
    """Covers the convolutions alone."""

    name: ClassVar[str] = "first layers"

    def covers(self, name: str, last: bool) -> bool:
        return name.startswith("conv")


@dataclass(frozen=True)
class SendsBack(Rule):
    """Sends the error through B by ``send_back``."""

    name: ClassVar[str] = "sends back"
    signals: ClassVar[tuple[str, ...]] = ("error",)

    def prepare(self, layer: LayerView) -> None:
        drawn = layer.random("b").normal_(layer.new_zeros(*layer.weight_shape))
        layer.register_state("feedback", drawn * layer.weight_std)

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return layer.send_back(error, x)


HONEST = [
    *(rule for rule in EVERY_RULE if not rule.transports),
    DirectFeedbackAlignment(start="uniform"),
    DirectKolenPollack(),
    HalfRate(),
    OwnStep(),
    *(Hebbian(way=way) for way in ("outer_product", "einsum", "bmm", "one sample at a time")),
    FromErrors(),
    CentredMirror(),
    FirstLayers(),
    SendsBack(),
    WeightMirror(target_angle=20.0),
    WeightMirror(warmup=2, streams=2, interval=1, bias=True),
    KolenPollack(last_layer="backprop", shortcuts="backprop"),
    KolenPollack(angle=30.0),
]
