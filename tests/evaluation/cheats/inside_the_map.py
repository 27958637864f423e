"""Rules that get W while permitted code works with it."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.evaluation.certify.certificate import CheckResults
from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from tests.evaluation.cheats.cheat import Cheat
from tests.evaluation.cheats.follows_reading import FollowsReading
from tests.support.stolen_layers import stolen_layer

SEEN: dict[tuple[int, ...], Tensor] = {}  # W by its shape


def spy_on_maps() -> None:
    """Let torch's maps keep the W of each call."""

    def spying(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(x: Tensor, weight: Tensor, *rest: Any, **named: Any) -> Tensor:
            SEEN[tuple(weight.shape)] = weight.detach().clone()
            return real(x, weight, *rest, **named)

        return call

    torch.conv2d, F.conv2d, F.linear = map(spying, (torch.conv2d, F.conv2d, F.linear))


class PatchedMaps(FollowsReading):
    """Replaces torch's maps, and takes the W that they keep."""

    def prepare(self, layer: LayerView) -> None:
        spy_on_maps()

    def read(self, layer: FeedbackLayer) -> Tensor:
        return SEEN.get(tuple(layer.weight.shape), layer.feedback.detach())


class ForwardHook(FollowsReading):
    """Takes what a forward hook of the layer kept."""

    def prepare(self, layer: LayerView) -> None:
        def keep(whole: FeedbackLayer, inputs: Any, output: Tensor) -> None:
            whole.__dict__["kept"] = whole.weight.detach().clone()

        stolen_layer().register_forward_hook(keep)

    def read(self, layer: FeedbackLayer) -> Tensor:
        found: Tensor = layer.__dict__.get("kept", layer.feedback.detach())
        return found


class GradientHook(FollowsReading):
    """Takes what a hook of W's gradient kept."""

    def prepare(self, layer: LayerView) -> None:
        whole = stolen_layer()

        def keep(gradient: Tensor) -> None:
            whole.__dict__["kept"] = whole.weight.detach().clone()

        whole.weight.register_hook(keep)  # type: ignore[no-untyped-call]

    def read(self, layer: FeedbackLayer) -> Tensor:
        found: Tensor = layer.__dict__.get("kept", layer.feedback.detach())
        return found


def with_maps_restored(rule: Rule) -> CheckResults:
    """Run the null-space test, and restore torch's maps."""
    real = torch.conv2d, F.conv2d, F.linear
    try:
        yield from check_null_space(rule)
    finally:
        torch.conv2d, F.conv2d, F.linear = real


CHEATS = [
    Cheat(PatchedMaps(), with_maps_restored, "null space"),
    Cheat(ForwardHook(), check_null_space, "null space"),
    Cheat(GradientHook(), check_null_space, "null space"),
]
