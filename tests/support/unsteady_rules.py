"""Rules that keep hidden state, that count measurements, or whose error does not come from this step's error."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from tests.support.honest_rules import Hebbian, SendsBack
from tests.support.stolen_layers import stolen_layer


class SendsAConstant(SendsBack):
    """Sends the same, whatever the error is."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return torch.ones_like(x) / len(x)


class SendsNothing(SendsBack):
    """Sends zeros."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return torch.zeros_like(x)


class SendsNumbersThatAreNone(SendsBack):
    """Divides what it sends by 0."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return super().send_back(layer, error, x, output_error) / 0


class SendsLastError(SendsBack):
    """Sends the error of the pass before."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        last = getattr(layer.feedback, "last", error)
        layer.feedback.last = error.clone()
        return super().send_back(layer, last if last.shape == error.shape else error, x, output_error)


class SendsHalfOfTheLastError(SendsBack):
    """Sends the sum of the error and that of the pass before."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        last = getattr(layer.feedback, "last", error)
        layer.feedback.last = error.clone()
        mixed = error + last if last.shape == error.shape else error
        return super().send_back(layer, mixed, x, output_error)


class RedrawsFeedback(SendsBack):
    """Draws B anew in every backward pass."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        return layer.geometry.send_back(error, torch.randn_like(layer.feedback), x.shape)


class IgnoresSeedAndLayer(SendsBack):
    """Draws the same B for every seed and every layer."""

    def prepare(self, layer: LayerView) -> None:
        drawn = torch.randn(layer.weight_shape, generator=torch.Generator().manual_seed(0))
        layer.register_state("feedback", layer.new_zeros(*layer.weight_shape).copy_(drawn) * layer.weight_std)


class FreezesItsWeight(FeedbackAlignment):
    """Keeps the first W from receiving a gradient."""

    def prepare(self, layer: LayerView) -> None:
        if layer.name == "conv1":
            stolen_layer().weight.requires_grad_(False)


class CountsOnItsFeedback(FeedbackAlignment):
    """Counts its steps in an attribute of the registered B."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.count = getattr(layer.feedback, "count", 0) + 1
        layer.feedback.mul_(1 + 1e-3 * layer.feedback.count)


@dataclass(frozen=True)
class CountsOnItself(FeedbackAlignment):
    """Counts its steps in an attribute of its own, anew for each network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "counts", {})

    def prepare(self, layer: LayerView) -> None:
        self.counts[id(layer.cache)] = 0  # type: ignore[attr-defined]

    def after_step(self, layer: LayerView, step: int) -> None:
        self.counts[id(layer.cache)] += 1  # type: ignore[attr-defined]
        layer.feedback.mul_(1 + 1e-3 * self.counts[id(layer.cache)])  # type: ignore[attr-defined]


FIRST: dict[str, Tensor] = {}  # of FirstActivity, which must not keep it here


class FirstActivity(FeedbackAlignment):
    """Scales B by the size of the first activity that it has ever seen, which it keeps in a variable of its module."""

    signals: ClassVar[tuple[str, ...]] = ("preactivation",)

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert y is not None
        FIRST.setdefault(layer.name, y.std())

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.add_(1e-3 * float(FIRST[layer.name]))


def counter() -> "type[FeedbackAlignment]":
    """Return a rule that counts its steps in a closure, for each network."""
    counts: dict[int, int] = {}

    class CountsInAClosure(FeedbackAlignment):
        """Counts its steps in a variable around it."""

        def after_step(self, layer: LayerView, step: int) -> None:
            counts[id(layer.cache)] = counts.get(id(layer.cache), 0) + 1
            layer.feedback.mul_(1 + 1e-3 * counts[id(layer.cache)])

    return CountsInAClosure


class ForgetsTheOtherWorkers(Hebbian):
    """Learns B from the worker's own part of the batch."""

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(0.99).add_(layer.cache["product"], alpha=1e-3)


class SumsNowAndThen(Hebbian):
    """Sums over the workers only where its own part of the batch has a positive mean."""

    def after_step(self, layer: LayerView, step: int) -> None:
        if layer.cache["product"].mean() > 0:
            layer.sum_over_workers(layer.cache["product"])


class CountsErrors(SendsBack):
    """Changes B by the number of errors that passed since the last step, those of measurements included."""

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        layer.cache["count"] = layer.cache.get("count", layer.new_zeros()) + 1
        return super().send_back(layer, error, x, output_error)

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.mul_(1 + 1e-3 * layer.cache.get("count", layer.new_zeros()))


HIDDEN_STATE = [CountsOnItsFeedback, CountsOnItself, FirstActivity, counter()]
