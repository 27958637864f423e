"""Honest mirror rules, which form the product of noise and response in ways of their own."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_noise import MirrorNoise, MirrorSamples


@dataclass(frozen=True)
class EinsumMirror(DrawnFeedback):
    """A mirror of the linear layers, whose product is an einsum."""

    name: ClassVar[str] = "einsum mirror"
    signals: ClassVar[tuple[str, ...]] = ("mirror",)

    def covers(self, name: str, last: bool) -> bool:
        return name == "fc"

    def mirror_noise(self) -> MirrorNoise:
        return MirrorNoise(samples=8, warmup=2, interval=1)

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("bo,bi->oi", y, x)

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        layer.feedback.mul_(0.98).add_(samples.mean(self.product) / samples.terms, alpha=0.02)


@dataclass(frozen=True)
class OneVectorMirror(EinsumMirror):
    """The same, one noise vector at a time, as a neuron would do it."""

    name: ClassVar[str] = "one vector at a time"

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.stack([torch.outer(b, a) for a, b in zip(x, y, strict=True)]).sum(0)


@dataclass(frozen=True)
class UnfoldedMirror(DrawnFeedback):
    """A mirror of a convolution, whose product is that of unfolded patches."""

    name: ClassVar[str] = "unfolded mirror"
    signals: ClassVar[tuple[str, ...]] = ("mirror",)

    def covers(self, name: str, last: bool) -> bool:
        return name == "conv1"

    def mirror_noise(self) -> MirrorNoise:
        return MirrorNoise(samples=4, extent=4, warmup=2, interval=1, normalize="positions", kind="uniform")

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        size = layer.weight_shape[2:]

        def product(x: Tensor, y: Tensor) -> Tensor:
            patches = F.unfold(x, size, padding=1 if samples.padded else 0)
            return torch.einsum("bop,bip->oi", y.flatten(2), patches).view(layer.weight_shape)

        layer.feedback.mul_(0.9).add_(samples.mean(product) / samples.terms, alpha=0.1)


RULES = [EinsumMirror(), OneVectorMirror(), UnfoldedMirror()]
