"""Honest rules whose B learns from activity and errors."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class CentredInformation(DrawnFeedback):
    """Information alignment (Kunin et al. 2020) of centred activity."""

    name: ClassVar[str] = "centred information"
    signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")

    eta: float = 0.01

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None and y is not None
        layer.cache.update(x=x.clone(), y=y)

    def after_step(self, layer: LayerView, step: int) -> None:
        x, y = layer.center(layer.cache["x"]), layer.center(layer.cache["y"])
        amp, null = layer.outer_product(x, y), layer.outer_product(layer.send_back(y, x), y)
        samples = layer.sum_over_workers(layer.new_zeros(1).add_(y.numel() / len(layer.feedback)))
        pull = (layer.sum_over_workers(amp) - layer.sum_over_workers(null)) / samples
        layer.feedback.add_(pull - 0.5 * layer.feedback, alpha=self.eta)


@dataclass(frozen=True)
class GrowsWithActivity(DrawnFeedback):
    """The rows of B grow with the activity of their unit, of which the rule registers a running mean."""

    name: ClassVar[str] = "grows with activity"
    signals: ClassVar[tuple[str, ...]] = ("preactivation",)

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("activity", layer.new_zeros(layer.weight_shape[0]))

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert y is not None
        layer.cache["square"] = y.square().transpose(0, 1).flatten(1).mean(1)

    def after_step(self, layer: LayerView, step: int) -> None:
        workers = layer.sum_over_workers(layer.new_zeros(1).add_(1))
        layer.activity.lerp_(layer.sum_over_workers(layer.cache["square"]) / workers, 0.1)
        rows = [-1, *[1] * (len(layer.weight_shape) - 1)]
        layer.feedback.mul_(1 + 1e-2 * layer.activity.tanh().view(rows))


@dataclass(frozen=True)
class RandomWalk(DrawnFeedback):
    """B walks at random, by numbers that the layer draws anew after each step, as far as the activity is large."""

    name: ClassVar[str] = "random walk"
    signals: ClassVar[tuple[str, ...]] = ("input",)

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None
        layer.cache["size"] = x.square().sum()

    def after_step(self, layer: LayerView, step: int) -> None:
        size = layer.sum_over_workers(layer.cache["size"]).sqrt().clamp(max=1.0)
        layer.feedback.add_(layer.random("walk").normal_(layer.new_zeros(*layer.weight_shape), 1e-3) * size)


RULES = [CentredInformation(), GrowsWithActivity(), RandomWalk()]
