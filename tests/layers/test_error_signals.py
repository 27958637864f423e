"""δ is measured at every layer that learns, however the model calls it, and measuring changes nothing."""

import copy
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from nowt.layers.alignment import measure_alignment
from nowt.layers.attach import attach
from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.layer_view import LayerView
from nowt.store.records import values_over_layers
from tests.support.nets import dense_net, normal

Y = torch.arange(4) % 3


class Queries(nn.Module):
    """A network with a layer whose input is a parameter and does not depend on the images."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.project = nn.Parameter(normal(7, 6)), nn.Linear(6, 5)
        self.first, self.last = nn.Linear(9, 5), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.relu(self.first(x)) @ self.project(self.queries).t())
        return found


@pytest.mark.filterwarnings("ignore:these weights use backprop")
def test_a_layer_whose_input_does_not_depend_on_the_images_has_a_delta_angle() -> None:
    model, x = Queries(), normal(4, 9)
    layers = attach(model, FeedbackAlignment(), example=x)
    found = {layer.name: layer.delta_angle for layer in measure_alignment(model, layers, x, Y, F.cross_entropy)}
    assert found["project"] > 1 and found["first"] > 1 and found["last"] == 0.0


@pytest.mark.filterwarnings("ignore:these weights use backprop")
def test_every_layer_of_swin_v2_has_a_delta_angle() -> None:
    torch.manual_seed(0)
    x = normal(2, 3, 32, 32)
    model = torchvision.models.SwinTransformer(
        [2, 2], 8, [1, 1], [1, 2], [4, 4], num_classes=3, stochastic_depth_prob=0.0,
        block=torchvision.models.swin_transformer.SwinTransformerBlockV2,
        downsample_layer=torchvision.models.swin_transformer.PatchMergingV2,
    )  # fmt: skip
    layers = attach(model, FeedbackAlignment(), example=x)
    assert any("cpb_mlp" in layer.name for layer in layers)
    found = measure_alignment(model, layers, x, torch.arange(2), F.cross_entropy)
    assert not [layer.name for layer in found if math.isnan(layer.delta_angle)]


def test_a_layer_on_sequences_before_an_activation_in_place_has_a_delta_angle() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 3), nn.Flatten(), nn.Linear(21, 3))
    plain = copy.deepcopy(model)
    plain[1].inplace = False
    x, found = normal(4, 7, 6), []
    for net in (model, plain):
        layers = attach(net, FeedbackAlignment(), example=x)
        found.append(measure_alignment(net, layers, x, Y, F.cross_entropy))
    assert found[0] == found[1] and found[0][0].delta_angle > 1


class Direct(nn.Module):
    """A network that calls ``forward`` of its layers, which runs no hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(9, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last.forward(torch.relu(self.first.forward(x)))
        return found


def test_layers_whose_forward_is_called_directly_have_a_delta_angle() -> None:
    model, x = Direct(), normal(4, 9)
    layers = attach(model, FeedbackAlignment(), example=x)
    first, last = measure_alignment(model, layers, x, Y, F.cross_entropy)
    assert first.delta_angle > 1 and last.delta_angle == 0.0
    assert not any("forward" in vars(layer) for layer in layers)


def test_angles_are_measured_on_words_and_without_gradients() -> None:
    model = nn.Sequential(nn.Embedding(9, 6), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.arange(16).view(4, 4) % 9
    feedback = attach(model, FeedbackAlignment(), example=x)
    with torch.no_grad():
        found = feedback.angles(x, Y)
    assert found["2"].delta > 1 and found["4"].delta == 0.0


class Replaces(nn.Module):
    """A layer that replaces its buffer by a new tensor in train mode."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + x.detach().mean()
        return x - self.mean


def test_a_probe_restores_a_buffer_that_the_model_replaces() -> None:
    model, x = nn.Sequential(Replaces(), dense_net()), normal(4, 12)
    layers = attach(model, FeedbackAlignment())
    before = copy.deepcopy(model.state_dict())
    measure_alignment(model, layers, x, Y, F.cross_entropy)
    assert torch.equal(model.state_dict()["0.mean"], before["0.mean"])


def test_a_layer_that_shares_the_weight_of_the_output_layer_is_the_deepest() -> None:
    model, x = nn.Sequential(*(nn.Linear(6, 6) if n % 2 == 0 else nn.Tanh() for n in range(7))), normal(4, 6)
    model[6].weight = model[2].weight
    layers = attach(model, FeedbackAlignment(), example=x)
    found = measure_alignment(model, layers, x, Y, F.cross_entropy)
    assert {layer.name: layer.depth for layer in found} == {"0": 0, "4": 1, "2": 2}
    inner = {layer.name: layer.delta_angle for layer in found}
    assert values_over_layers("delta_angle", found) == [inner["0"], inner["2"], inner["4"]]


@dataclass(frozen=True)
class CountsErrors(Rule):
    """Leaves in the cache how often an error passed back."""

    name: ClassVar[str] = "counts errors"
    signals: ClassVar[tuple[str, ...]] = ("error",)

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        layer.cache["errors"] = layer.cache.get("errors", 0) + 1
        return torch.ones_like(x)


def test_a_measurement_leaves_what_the_rule_caches_as_it_is() -> None:
    model, x = dense_net(), normal(4, 12)
    layers = attach(model, CountsErrors(), example=x, quiet=True)
    for errors in (None, 1, 2):
        measure_alignment(model, layers, x, Y, F.cross_entropy)
        assert {layer.cache.get("errors") for layer in layers[1:]} == {errors}
        F.cross_entropy(model(x), Y).backward()  # type: ignore[no-untyped-call]
