"""The operations of a layer in mirror mode: the linear map, sums over samples and positions, and noise shapes."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from nowt.layers import mirror_mode
from nowt.layers.alignment import angle
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import MirrorNoise
from nowt.rules.moment import Moment
from nowt.rules.registry import find_rule
from tests.support.nets import attached, normal

CONVS = [
    nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, padding_mode=mode)  # type: ignore[arg-type]
    for kernel, (stride, padding), dilation, groups, mode in product(
        (1, 3, (3, 2)),
        ((1, 0), (1, 1), (2, 1), ((2, 3), (0, 2)), (1, "same")),
        (1, 2),
        (1, 4),
        ("zeros", "circular"),
    )
]

LAYERS = [*CONVS, nn.Linear(7, 6)]


def layer_of(plain: nn.Module, **fields: Any) -> FeedbackLayer:
    """Attach the weight mirror to the layer ``plain``."""
    return attached(nn.Sequential(plain), find_rule("wm")(**fields))[1][0]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_outer_product_sum_is_the_gradient_of_apply_weight() -> None:
    for plain in LAYERS:
        layer = layer_of(plain)
        for padded in (True, False):
            x = normal(5, 4, 9, 8) if isinstance(plain, nn.Conv2d) else normal(5, 7)
            y = normal(*layer.apply_weight(x, padded).shape, seed=1)
            (oracle,) = torch.autograd.grad(layer.apply_weight(x, padded), layer.weight, y)
            torch.testing.assert_close(layer.geometry.mirror_product(x, y, padded), oracle)


def test_apply_weight_is_linear_and_has_no_bias() -> None:
    for plain in LAYERS:
        layer = layer_of(plain)
        x = normal(*layer.geometry.probe_shape(3, 4))
        assert not layer.apply_weight(torch.zeros_like(x)).any()
        torch.testing.assert_close(layer.apply_weight(-2 * x), -2 * layer.apply_weight(x))
        if isinstance(plain, nn.Linear) or (plain.padding_mode == "zeros" and plain.padding != "same"):
            with torch.no_grad():
                assert plain.bias is not None
                bias = plain.bias.view(-1, *[1] * (x.dim() - 2))
                torch.testing.assert_close(layer.apply_weight(x), plain(x) - bias)


@pytest.mark.parametrize("extent", [1, 2, 8])
def test_the_response_to_noise_has_the_configured_number_of_positions_per_side(extent: int) -> None:
    for plain in CONVS:
        layer = layer_of(plain)
        x = normal(*layer.geometry.probe_shape(3, extent))
        sides = layer.apply_weight(x).shape[2:]
        assert min(sides) >= extent
        assert max(sides) == extent or min(x.shape[2:]) == 1  # padding may add positions
        assert layer.geometry.positions(x) == 3 * sides.numel()
    dense = layer_of(nn.Linear(7, 6))
    assert dense.geometry.probe_shape(3, extent) == (3 * extent**2, 7)
    assert dense.geometry.positions(normal(12, 7)) == dense.geometry.tap_counts(normal(12, 7)) == 12


def test_tap_counts_are_the_numbers_of_positions_that_reach_each_kernel_tap() -> None:
    for plain in CONVS:
        layer = layer_of(plain)
        x = torch.ones(2, 4, 9, 8)
        reached = layer.geometry.mirror_product(x, torch.ones_like(layer.apply_weight(x)))
        assert torch.equal(layer.geometry.tap_counts(x).expand_as(reached), reached)  # type: ignore[union-attr]


def test_extent_0_uses_the_map_size_of_the_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2))
    _, (first, _) = attached(model, find_rule("wm")(extent=0))
    with pytest.raises(
        ValueError, match=r"rule.extent is 0, but layer 0 has no known input size: pass example to attach"
    ):
        first.geometry.probe_shape(5, 0)
    first.map_size = (10, 12)
    assert first.geometry.probe_shape(5, 0) == (5, 3, 10, 12)


def test_idealised_noise_recovers_w_in_one_mirror_step() -> None:
    for plain in LAYERS:
        layer = layer_of(plain, noise="idealised", warmup=1, eta=1.0, decay=1.0)
        RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))
        torch.testing.assert_close(layer.feedback, layer.weight, rtol=1e-4, atol=1e-5)
        assert angle(layer.feedback, layer.weight) < 0.001


@pytest.mark.parametrize("extent", [0, 3])
def test_a_mirror_step_aligns_b_with_w_in_every_kind_of_layer(extent: int) -> None:
    for plain in LAYERS:
        layer = layer_of(plain, extent=extent, warmup=1, samples=400, eta=1.0, decay=1.0)
        layer.map_size = (5, 5)
        RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))
        assert angle(layer.feedback, layer.weight) < 20


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("extent", [1, 2, 3])
def test_weights_are_unreached_where_ones_that_pass_through_the_layer_leave_a_sum_of_zero(extent: int) -> None:
    wide = nn.Conv2d(4, 6, 7, padding=3)
    for plain in (*CONVS, wide, nn.Conv2d(4, 6, 5, padding=4, dilation=2), nn.Conv2d(4, 6, 3, stride=3, padding=1)):
        layer = layer_of(plain)
        shape = layer.geometry.probe_shape(1, extent)
        sums = layer.geometry.mirror_product(torch.ones(shape), torch.ones_like(layer.apply_weight(torch.ones(shape))))
        assert layer.geometry.has_unreached_weights(shape) == bool((sums == 0).any())
    assert layer_of(wide).geometry.has_unreached_weights((1, 4, 1, 1))


def test_a_layer_keeps_few_tap_counts_and_a_rule_cannot_change_them() -> None:
    layer, noise = layer_of(nn.Conv2d(4, 6, 3, padding=1)), MirrorNoise()
    for extent in range(2, 20):
        x = torch.ones(2, 4, extent, extent)
        changed = mirror_mode._terms(layer, x, noise)
        changed *= 0
        assert torch.equal(mirror_mode._terms(layer, x, noise), layer.geometry.tap_counts(x))  # type: ignore[arg-type]
    assert len(vars(layer)["kept_terms"]) <= mirror_mode.KEPT_TERMS
    assert list(layer.state_dict()) == ["weight", "bias", "feedback"]
