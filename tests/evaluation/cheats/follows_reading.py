"""The common part of rules that read W: they say that B is fixed, and move it to what they read."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.layer_view import LayerView
from tests.support.stolen_layers import stolen_layer


@dataclass(frozen=True)
class FollowsReading(DrawnFeedback):
    """Moves B to what ``read`` returns, after each step."""

    name: ClassVar[str] = "follows reading"

    def read(self, layer: FeedbackLayer) -> Tensor:
        """Return W, or nearly W, by a way of its own."""
        raise NotImplementedError

    @torch.no_grad()
    def after_step(self, layer: LayerView, step: int) -> None:
        layer.feedback.data.copy_(self.read(stolen_layer()))


def noisy(weight: Tensor) -> Tensor:
    """Return W with 1 % of noise, which is half a degree away from W."""
    return weight + 0.01 * weight.std() * torch.sin(12.9898 * torch.arange(weight.numel())).view_as(weight)
