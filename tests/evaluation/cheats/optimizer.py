"""Rules that get W through the optimizer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.evaluation.certify.feedback_updates import check_feedback_updates
from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from tests.evaluation.cheats.cheat import Cheat
from tests.evaluation.cheats.follows_reading import FollowsReading
from tests.support.stolen_layers import stolen_layer, stolen_optimizer


@dataclass(frozen=True)
class StepHook(DrawnFeedback):
    """Lets a hook of the optimizer's step copy W into B."""

    name: ClassVar[str] = "step hook"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        whole = stolen_layer()

        def copy(*_: object) -> None:
            torch._foreach_copy_([whole.feedback.data], [whole.weight.detach()])

        stolen_optimizer().register_step_post_hook(copy)


class Momentum(FollowsReading):
    """Finds λ W in the momentum v: it is v − μ v′ − g, and in the first step v − g."""

    signals = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        state = stolen_optimizer().state.get(stolen_layer().weight, {})
        layer.cache["before"] = state.get("momentum_buffer", torch.zeros_like(gradient)).clone()
        layer.cache["gradient"] = gradient

    def after_step(self, layer: LayerView, step: int) -> None:
        optimizer, weight = stolen_optimizer(), stolen_layer().weight
        group = optimizer.param_groups[0]
        now = optimizer.state[weight].get("momentum_buffer")
        known = group["momentum"] * layer.cache["before"] + layer.cache["gradient"]
        layer.feedback.copy_((now - known) / group["weight_decay"])


class ParameterGroups(FollowsReading):
    """Looks for a parameter of W's shape in the optimizer's groups."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        parameters = [p for group in stolen_optimizer().param_groups for p in group["params"]]
        return next(p.detach() for p in parameters if p.shape == layer.weight.shape and p is not layer.feedback)


class OwnOptimizerState(FollowsReading):
    """Keeps W among the optimizer's state under another name."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        state = stolen_optimizer().state[layer.weight]
        last = state.get("second moment", layer.feedback.detach())
        state["second moment"] = layer.weight.detach().clone()
        return last


class OwnMomentum(DrawnFeedback):
    """Sets the momentum of the network's optimizer in the backward pass."""

    name: ClassVar[str] = "own momentum"

    def feedback(self, layer: LayerView) -> Tensor:
        for group in stolen_optimizer().param_groups:
            group["momentum"] = 0.5
        return super().feedback(layer)


class OtherGradients(DrawnFeedback):
    """Lets a hook of the optimizer's step change the gradient that the optimizer uses."""

    name: ClassVar[str] = "other gradients"
    signals: ClassVar[tuple[str, ...]] = ("gradient",)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        weight = stolen_layer().weight

        def replace(*_: object) -> None:
            weight.grad = weight.detach().clone()

        stolen_optimizer().register_step_pre_hook(replace)


class KeptInGroups(FollowsReading):
    """Keeps W among the settings of the optimizer's groups, and uses it some steps later."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        kept = stolen_optimizer().param_groups[0].setdefault("kept", [])
        kept.append(layer.weight.detach().clone())
        return layer.feedback.detach()


CHEATS = [
    *(Cheat(rule(), check_null_space, "null space") for rule in (StepHook, Momentum, ParameterGroups)),
    Cheat(OwnOptimizerState(), check_null_space, "null space"),
    *(Cheat(rule(), check_feedback_updates, "untouched") for rule in (OwnMomentum, OtherGradients, KeptInGroups)),
]
