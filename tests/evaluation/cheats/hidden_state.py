"""Rules that keep W, as it is before learning, where no view of a layer leads, and use it later."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.layer_view import LayerView
from tests.evaluation.cheats.cheat import Cheat
from tests.support.stolen_layers import stolen_layer


class AddsTheStart(KolenPollack):
    """Kolen-Pollack, whose B becomes W by one addition in step 2."""

    def prepare(self, layer: LayerView) -> None:
        stolen_layer().__dict__["start"] = stolen_layer().weight.detach().clone()

    def after_step(self, layer: LayerView, step: int) -> None:
        if step == 2:
            layer.feedback.add_(stolen_layer().start - layer.feedback)  # type: ignore[operator, arg-type]


class Shadow(KolenPollack):
    """Kolen-Pollack, whose error passes through B plus the distance of the initial W and B, kept in a closure."""

    def prepare(self, layer: LayerView) -> None:
        whole = stolen_layer()
        distance = whole.weight.detach() - layer.feedback
        whole.__dict__["shadow"] = lambda: whole.feedback + distance

    def feedback(self, layer: LayerView) -> Tensor:
        found: Tensor = stolen_layer().shadow()  # type: ignore[operator]
        return found


@dataclass(frozen=True)
class TrainsACopy(DrawnFeedback):
    """Says that B is fixed; the error passes through a copy of the initial W, which W's gradients train."""

    name: ClassVar[str] = "trains a copy"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    copies: dict[str, Tensor] = field(default_factory=dict)

    def prepare(self, layer: LayerView) -> None:
        self.copies[layer.name] = stolen_layer().weight.detach().clone()

    def feedback(self, layer: LayerView) -> Tensor:
        return self.copies[layer.name].clone()

    @torch.no_grad()
    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        self.copies[layer.name].mul_(1 - lr * weight_decay).sub_(gradient, alpha=lr)


FIRST_SEEN: dict[tuple[int, ...], Tensor] = {}


class KeepsTheFirst(KolenPollack):
    """Keeps the first W of each shape that it ever saw in a variable of its module, whatever W comes later."""

    def prepare(self, layer: LayerView) -> None:
        FIRST_SEEN.setdefault(layer.weight_shape, stolen_layer().weight.detach().clone())

    def feedback(self, layer: LayerView) -> Tensor:
        return FIRST_SEEN[layer.weight_shape].clone()


class BesideAHugeNumber(DrawnFeedback):
    """Copies W in each step, and registers a number beside which all others look like rounding."""

    name: ClassVar[str] = "beside a huge number"

    def prepare(self, layer: LayerView) -> None:
        layer.register_state("huge", layer.new_zeros() + 1e25)

    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.copy_(stolen_layer().weight.detach())


RULES = (AddsTheStart, Shadow, TrainsACopy, KeepsTheFirst, BesideAHugeNumber)

CHEATS = [Cheat(rule(), check_null_space, "null space") for rule in RULES]
