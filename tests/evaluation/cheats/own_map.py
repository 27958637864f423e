"""Rules that ask a layer's own map for its W: they send inputs of their own through it and solve for W."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.evaluation.certify.null_space import check_null_space
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from tests.evaluation.cheats.cheat import Cheat
from tests.evaluation.cheats.follows_reading import FollowsReading
from tests.support.stolen_layers import stolen_layer


class OneHotInputs(FollowsReading):
    """Sends one-hot inputs through W by torch's functions, half of them at a time."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        weight = layer.weight.detach()
        return _answers(layer, lambda x: F.linear(x, weight) if weight.dim() == 2 else F.conv2d(x, weight))


class OneHotMirror(FollowsReading):
    """Sends one-hot inputs through the map of mirror mode, half of them at a time."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        return _answers(layer, lambda x: layer.apply_weight(x, padded=False))


class Solves(FollowsReading):
    """Sends a few more random inputs than a unit has inputs, and solves the linear equations."""

    def read(self, layer: FeedbackLayer) -> Tensor:
        inputs = torch.randn(layer.fan_in + 5, layer.fan_in, dtype=layer.weight.dtype)
        outputs = layer.apply_weight(inputs.view(len(inputs), *layer.weight.shape[1:]), padded=False).flatten(1)
        return torch.linalg.lstsq(inputs, outputs).solution.t().reshape(layer.weight.shape)


class OneHotBackward(OneHotInputs):
    """Does so in the backward pass, before the error is sent on."""

    signals = ("error",)

    def after_step(self, layer: LayerView, step: int) -> None:
        """Do nothing here."""

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        layer.feedback.data.copy_(self.read(stolen_layer()))


def _answers(layer: FeedbackLayer, answer) -> Tensor:  # type: ignore[no-untyped-def]
    """Return the answers to one-hot inputs as a W."""
    unit = torch.eye(layer.fan_in, dtype=layer.weight.dtype).view(-1, *layer.weight.shape[1:])
    parts = [answer(part).flatten(1) for part in unit.split(max(1, layer.fan_in // 2))]
    return torch.cat(parts).t().reshape(layer.weight.shape)


CHEATS = [
    Cheat(rule(), check_null_space, "null space") for rule in (OneHotInputs, OneHotMirror, Solves, OneHotBackward)
]
