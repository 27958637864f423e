"""Honest rules whose B learns from W's gradient, or from the input and the error that make it up."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class OwnMomentum(DrawnFeedback):
    """Kolen-Pollack's step with a momentum of its own, which it registers."""

    name: ClassVar[str] = "own momentum"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("velocity", layer.new_zeros(*layer.weight_shape))

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        layer.velocity.mul_(0.5).add_(gradient).add_(layer.feedback, alpha=weight_decay)
        layer.feedback.sub_(layer.velocity, alpha=lr)


@dataclass(frozen=True)
class LocalProducts(DrawnFeedback):
    """B and W receive the same product of input and error, which the rule forms itself: Kolen-Pollack's circuit."""

    name: ClassVar[str] = "local products"
    signals: ClassVar[tuple[str, ...]] = ("input", "error")

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        assert x is not None
        layer.cache["x"] = x.clone()

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        assert error is not None
        layer.cache["product"] = layer.outer_product(layer.cache["x"], error)

    def after_step(self, layer: LayerView, step: int) -> None:
        workers = layer.sum_over_workers(layer.new_zeros(1).add_(1))
        product = layer.sum_over_workers(layer.cache["product"]) / workers
        layer.feedback.mul_(1 - 1e-3).sub_(product, alpha=0.05)


@dataclass(frozen=True)
class SignsOfGradients(DrawnFeedback):
    """B takes small steps against the signs of W's gradient."""

    name: ClassVar[str] = "signs of gradients"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    eta: float = 1e-3

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        # a small gradient could have either sign after rounding
        layer.feedback.sub_((gradient / gradient.std()).tanh(), alpha=self.eta)


@dataclass(frozen=True)
class EveryThirdStep(DrawnFeedback):
    """B learns from W's gradient in every third step alone, counted in a registered tensor."""

    name: ClassVar[str] = "every third step"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("steps", torch.zeros((), dtype=torch.int64))

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        layer.steps += 1
        if int(layer.steps) % 3 == 0:
            layer.feedback.sub_(gradient, alpha=3 * lr)


RULES = [OwnMomentum(), LocalProducts(), SignsOfGradients(), EveryThirdStep()]
