"""A matrix that maps a layer's inputs to 0 changes W and no activity, in every layer and dtype."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nowt.layers.attach import attach
from nowt.layers.null_space import has_null_space, move_in_null_space, recorded_inputs
from nowt.layers.private_weights import layers_with_private_weights
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.feedback_layer import FeedbackLayer
from tests.support.nets import normal

CONVOLUTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 2, "stride": 2},
    {"kernel_size": 3, "dilation": 2, "padding": 1, "groups": 2},
    {"kernel_size": (2, 3), "padding": (0, 1), "stride": (2, 1)},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    {"kernel_size": 4, "padding": "same"},
    {"kernel_size": 1, "groups": 4},
]


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def one_layer(module: nn.Module, x: Tensor) -> tuple[FeedbackLayer, Tensor]:
    """Return the attached layer and its inputs for x."""
    (layer,) = attach(nn.Sequential(module), FeedbackAlignment(), quiet=True)
    with recorded_inputs([layer]) as found:
        layer(x)
    return layer, found[layer.name]


def relative(one: Tensor, other: Tensor) -> float:
    one, other = one.detach().double(), other.detach().double()
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
def test_a_convolution_answers_its_own_inputs_as_before(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x = normal(1, 24, 4, 4, dtype=torch.float64)
    layer, inputs = one_layer(nn.Conv2d(24, 8, **settings).double(), x)
    weight, y = layer.weight.detach().clone(), layer(x).detach()
    if settings["kernel_size"] == 1:  # six inputs of a group at sixteen positions
        assert not has_null_space(inputs)
        return
    assert inputs.shape[0] == settings.get("groups", 1) and inputs.shape[2] == layer.fan_in
    assert has_null_space(inputs)
    rounding = move_in_null_space(layer.weight, inputs, stream())
    assert relative(layer.weight, weight) > 0.1
    assert rounding < 1e-14 and relative(layer(x), y) < 1e-13


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-14), (torch.float32, 2e-7), (torch.bfloat16, 2e-2)])
def test_the_rounding_that_remains_is_that_of_the_dtype_of_w(dtype: torch.dtype, bound: float) -> None:
    torch.manual_seed(0)
    x = normal(3, 4, 40, dtype=dtype)  # leading dimensions, as of tokens
    layer, inputs = one_layer(nn.Linear(40, 6).to(dtype), x)
    assert inputs.shape == (1, 12, 40) and has_null_space(inputs)
    before, version = layer.weight.detach().clone(), layer.weight._version
    assert 0 < move_in_null_space(layer.weight, inputs, stream()) < bound
    assert relative(layer.weight, before) > 0.1
    assert layer.weight._version == version and layer.weight.dtype == dtype


def test_many_positions_are_kept_as_few_rows_that_span_the_same_space() -> None:
    torch.manual_seed(0)
    x = normal(60, 8, dtype=torch.float64)
    layer, inputs = one_layer(nn.Linear(8, 3).double(), x)
    assert inputs.shape[1] <= 16 and not has_null_space(inputs)
    weight = layer.weight.detach().clone()
    assert move_in_null_space(layer.weight, inputs, stream()) == 0
    assert torch.equal(layer.weight, weight)
    x[:, 5] = 0  # a unit that is never active
    layer, inputs = one_layer(nn.Linear(8, 3).double(), x)
    y = layer(x).detach()
    assert has_null_space(inputs)
    assert move_in_null_space(layer.weight, inputs, stream()) < 1e-14
    assert relative(layer(x), y) < 1e-13


def test_a_map_larger_than_memory_allows_is_recorded_in_parts() -> None:
    torch.manual_seed(0)
    x = normal(30, 2, 12, 12, dtype=torch.float64)
    layer, inputs = one_layer(nn.Conv2d(2, 4, 3).double(), x)
    assert inputs.shape[1] <= 2 * layer.fan_in and not has_null_space(inputs)
    patches = torch.nn.functional.unfold(x, 3).transpose(1, 2).flatten(0, 1)
    assert relative(inputs[0].t() @ inputs[0], patches.t() @ patches) < 1e-12


def test_layers_that_share_w_are_recorded_together() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(9, 9, bias=False), nn.Tanh(), nn.Linear(9, 9, bias=False)).double()
    model[2].weight = model[0].weight
    (layer,) = attach(model, FeedbackAlignment(), quiet=True)
    x = normal(2, 9, dtype=torch.float64)
    with recorded_inputs([layer]) as found:
        y = model(x).detach()
    assert found[layer.name].shape == (1, 4, 9)
    move_in_null_space(layer.weight, found[layer.name], stream())
    assert relative(model(x), y) < 1e-13


def test_autocast_is_recorded_as_the_layer_multiplies_it() -> None:
    x = normal(2, 12)
    with torch.autocast("cpu", torch.bfloat16):
        _, inputs = one_layer(nn.Linear(12, 3), x)
    assert torch.equal(inputs[0], x.bfloat16().double())


def test_inputs_that_are_not_finite_leave_w_alone() -> None:
    layer, inputs = one_layer(nn.Linear(12, 3), normal(2, 12) / 0)
    before = layer.weight.detach().clone()
    assert math.isnan(move_in_null_space(layer.weight, inputs, stream()))
    assert torch.equal(layer.weight, before)


def test_a_weight_that_an_embedding_shares_is_not_private() -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.hidden, self.out = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
            self.out.weight = self.words.weight

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.out(self.hidden(self.words(x)))
            return y

    model = Language()
    layers = attach(model, FeedbackAlignment(), quiet=True)
    assert [layer.name for layer in layers] == ["hidden", "out"]
    assert [layer.name for layer in layers_with_private_weights(model, layers)] == ["hidden"]
