"""Rules that get W while permitted code works with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def patched() -> Iterator[None]:
    """Keep the W of each call of torch's maps."""

    def spy(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(x: Tensor, weight: Tensor, *rest: Any, **named: Any) -> Tensor:
            SEEN[tuple(weight.shape)] = weight.detach().clone()
            return real(x, weight, *rest, **named)

        return call

    real = torch.conv2d, F.conv2d, F.linear
    torch.conv2d, F.conv2d, F.linear = map(spy, real)
    try:
        yield
    finally:
        torch.conv2d, F.conv2d, F.linear = real


class PatchedMaps(FollowsReading):
    """Takes what the patched functions kept."""

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


def with_patched_maps(rule: Rule) -> CheckResults:
    """Run the null-space test, while torch's maps are patched."""
    with patched():
        yield from check_null_space(rule)


CHEATS = [
    Cheat(PatchedMaps(), with_patched_maps, "null space"),
    Cheat(ForwardHook(), check_null_space, "null space"),
    Cheat(GradientHook(), check_null_space, "null space"),
]
