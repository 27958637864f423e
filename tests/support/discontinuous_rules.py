"""Rules that read no W, and whose numbers jump when activity changes by its last digits."""

import os
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class AmplifiesRounding(FeedbackAlignment):
    """Sends errors whose signs depend on their last digits."""

    name: ClassVar[str] = "amplifies rounding"
    signals: ClassVar[tuple[str, ...]] = ("input", "error")

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        last_digits = error.contiguous().view(torch.int32) & 1
        return layer.send_back(error * (1 - 2 * last_digits), x)


@dataclass(frozen=True)
class UnequalRows(FeedbackAlignment):
    """Half of B's rows are zero, and one is so huge that errors overflow in deep networks."""

    name: ClassVar[str] = "unequal rows"

    def prepare(self, layer: LayerView) -> None:
        layer.feedback[: layer.weight_shape[0] // 2] = 0
        layer.feedback[0] = 1e4 * layer.feedback[-1]


@dataclass(frozen=True)
class QuantizedB(DrawnFeedback):
    """Learns as W does, and rounds B to a few values."""

    name: ClassVar[str] = "quantized B"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("fine", layer.feedback)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        layer.fine.sub_(gradient, alpha=lr)
        unit = layer.weight_std / 4
        layer.feedback.copy_((layer.fine / unit).round() * unit)


@dataclass(frozen=True)
class SparseB(FeedbackAlignment):
    """Keeps some entries of B alone, those of a registered mask of W's shape."""

    name: ClassVar[str] = "sparse B"

    def prepare(self, layer: LayerView) -> None:
        mask = layer.random("mask").normal_(layer.new_zeros(*layer.weight_shape), 1.0) > 1
        layer.feedback.mul_(mask)
        layer.register_state("mask", mask)
        layer.register_state("uses", mask.long())


@dataclass(frozen=True)
class NeverTheSame(FeedbackAlignment):
    """Adds numbers of the operating system to B."""

    name: ClassVar[str] = "never the same"

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.add_(os.urandom(1)[0] * 1e-6)


@dataclass(frozen=True)
class StartsAnew(FeedbackAlignment):
    """Draws B from the operating system whenever a layer is prepared."""

    name: ClassVar[str] = "starts anew"

    def prepare(self, layer: LayerView) -> None:
        layer.feedback.add_(int.from_bytes(os.urandom(4)) * 1e-12)
