"""A rule's random numbers are its own: they tell nothing of the numbers that W and B were drawn from."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.models.initialization import initialize_as_torchvision, initialize_layers
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class DrawsWAgain(DrawnFeedback):
    """Fills B from the stream that has the name of W's."""

    name: ClassVar[str] = "draws W again"

    def prepare(self, layer: LayerView) -> None:
        drawn = layer.random("weights").normal_(layer.new_zeros(*layer.weight_shape))
        layer.feedback.copy_(drawn * layer.weight_std)


@dataclass(frozen=True)
class SortsBBack(DrawnFeedback):
    """Puts the entries of B, which are those of W in random order, into the order that they had."""

    name: ClassVar[str] = "sorts B back"

    def prepare(self, layer: LayerView) -> None:
        order = layer.random("feedback").permutation(layer.feedback.numel())
        sorted_back = torch.empty_like(layer.feedback).flatten()
        sorted_back[order] = layer.feedback.flatten()
        layer.feedback.copy_(sorted_back.view_as(layer.feedback))


def normal(weight: Tensor, stream: torch.Generator) -> None:
    nn.init.normal_(weight, generator=stream)


@pytest.mark.parametrize("rule", [DrawsWAgain(), SortsBBack()], ids=lambda rule: rule.name)
@pytest.mark.parametrize("seed", [0, 3])
def test_a_rule_cannot_draw_the_numbers_of_w_or_b_once_more(rule: DrawnFeedback, seed: int) -> None:
    model = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 50))
    initialize_layers(model, initialize_as_torchvision, seed=seed)
    for name in ("0", "2"):
        normal(model.get_parameter(f"{name}.weight").data, generator(seed, "weights", name))
    for layer in attach(model, rule, seed=seed):
        assert abs(angle(layer.feedback, layer.weight) - 90) < 5
