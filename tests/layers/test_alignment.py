"""Alignment: matrix and δ angles against reference implementations, and that measuring has no side effects."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nowt.config.run_config import ModelConfig
from nowt.layers.alignment import angle, measure_alignment, row_angles
from nowt.layers.attach import attach
from nowt.models.registry import build_model
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.registry import find_rule
from nowt.store.records import Layer, median_over_layers
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, dense_net, normal, rule_id


def tensors_at_angle(degrees: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return two tensors of different norms with an angle of ``degrees`` between them."""
    u, v = normal(40, 50, dtype=torch.float64), normal(40, 50, seed=1, dtype=torch.float64)
    v -= u * ((u * v).sum() / (u * u).sum())
    turn = math.radians(degrees)
    return u.to(dtype), (3 * (math.cos(turn) * u + math.sin(turn) * v * (u.norm() / v.norm()))).to(dtype)


def measured(model: nn.Module, layers: list[FeedbackLayer], samples: int = 6) -> dict[str, Layer]:
    """Measure alignment on a batch, by layer name."""
    return {layer.name: layer for layer in measure_alignment(model, layers, *batch(samples), F.cross_entropy)}


@pytest.mark.parametrize("degrees", [0.0001, 0.001, 0.0057, 0.1, 1.0, 30.0, 90.0, 150.0, 179.9999])
def test_known_angles_are_measured_accurately(degrees: float) -> None:
    assert angle(*tensors_at_angle(degrees)) == pytest.approx(degrees, rel=1e-6, abs=1e-9)
    assert angle(*tensors_at_angle(degrees, torch.float32)) == pytest.approx(degrees, rel=1e-3, abs=2e-5)


def test_a_tensor_and_its_multiples_are_0_or_180_degrees_apart() -> None:
    u = normal(3, 4, 5)
    assert angle(u, u) == 0.0
    assert angle(u, 2 * u) == 0.0
    assert angle(u, -u) == pytest.approx(180, abs=1e-9)


def test_an_undefined_angle_is_nan() -> None:
    u, zero = normal(3, 4), torch.zeros(3, 4)
    for a, b in [
        (u, zero),
        (zero, u),
        (zero, zero),
        (u, torch.full_like(u, math.inf)),
        (torch.full_like(u, math.nan), u),
    ]:
        assert math.isnan(angle(a, b))


def test_angles_of_very_small_and_very_large_tensors_are_accurate() -> None:
    u, v = tensors_at_angle(30.0, torch.float32)
    assert angle(u * 1e-30, v * 1e30) == pytest.approx(30, abs=1e-4)


def test_angles_do_not_depend_on_the_memory_layout() -> None:
    u, v = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1)
    assert angle(u.contiguous(memory_format=torch.channels_last), v) == angle(u, v)


def test_row_angles_are_computed_per_row() -> None:
    a, b = (
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]),
        torch.tensor([[0.0, 2.0], [1.0, 1.0], [1.0, 1.0]]),
    )
    assert row_angles(a, b)[:2].tolist() == pytest.approx([90, 45])
    assert row_angles(a, b)[2].isnan()


def test_matrix_angles_and_norm_ratios_are_those_of_b_and_w() -> None:
    model, layers = attached(conv_net(), find_rule("fa")(scale=0.5, angle=30.0))
    found = measured(model, layers)
    assert [(layer.name, layer.depth) for layer in found.values()] == [("0", 0), ("3", 1), ("6", 2), ("9", 3)]
    for layer in found.values():
        assert layer.matrix_angle == pytest.approx(30, abs=1e-4)
        assert layer.norm_ratio == pytest.approx(0.5, rel=1e-6)


def test_a_zero_weight_has_no_matrix_angle_and_no_norm_ratio() -> None:
    model, layers = attached(conv_net(), find_rule("fa")())
    nn.init.zeros_(layers[1].weight)
    found = measured(model, layers)["3"]
    assert math.isnan(found.matrix_angle) and math.isnan(found.norm_ratio)


def output_errors(model: nn.Module, places: list[str], x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return δ at the output of each named layer, by retained gradients."""
    outputs: dict[str, Tensor] = {}
    for name in places:

        def keep(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
            output.retain_grad()
            outputs[name] = output

        model.get_submodule(name).register_forward_hook(keep)
    F.cross_entropy(model(x), y).backward()
    return {name: output.grad for name, output in outputs.items() if output.grad is not None}


def mean_angle(a: Tensor, b: Tensor) -> float:
    """Return the mean angle over samples, computed with NumPy."""
    u, v = a.flatten(1).double().numpy(), b.flatten(1).double().numpy()
    cosines = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
    return float(np.degrees(np.arccos(cosines.clip(-1, 1))).mean())


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
@pytest.mark.parametrize("net", [conv_net, lambda: conv_net(norm=False)], ids=["norm", "bare"])
def test_delta_angles_equal_those_between_separate_models_under_the_rule_and_under_backprop(
    rule: Rule, net: Callable[[], nn.Module]
) -> None:
    plain, (x, y) = net().double(), batch(6, dtype=torch.float64)
    model, layers = attached(plain, rule)
    found = {layer.name: layer.delta_angle for layer in measure_alignment(model, layers, x, y, F.cross_entropy)}
    places = [layer.name for layer in layers]
    theirs = output_errors(plain, places, x, y)
    ours = output_errors(attached(net().double(), rule)[0], places, x, y)
    for name in places:
        assert found[name] == pytest.approx(mean_angle(ours[name], theirs[name]), abs=1e-5), name


def test_under_sham_every_delta_angle_is_0() -> None:
    model, layers = attached(conv_net(), find_rule("sham")())
    assert [layer.delta_angle for layer in measured(model, layers).values()] == [0.0] * 4


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_the_delta_angle_of_the_last_layer_is_0_under_every_rule(rule: Rule) -> None:
    model, layers = attached(conv_net(), rule)
    found = measured(model, layers)
    assert found["9"].delta_angle == 0.0
    if rule.name != "sham":
        assert all(found[name].delta_angle > 1 for name in ("0", "3", "6"))


def test_layers_inside_blocks_with_zero_gamma_have_a_matrix_angle_and_no_delta_angle() -> None:
    model = build_model(ModelConfig(zero_init_gamma=True), (1, 8, 8), 5, seed=0)
    model, layers = attached(model, find_rule("fa")())
    x, y = normal(6, 1, 8, 8), torch.arange(6) % 5
    found = measure_alignment(model, layers, x, y, F.cross_entropy)
    inner = {layer.name for layer in layers if ".conv" in layer.name}
    assert inner and {layer.name for layer in found if math.isnan(layer.delta_angle)} == inner
    assert all(layer.matrix_angle > 1 and layer.norm_ratio > 0 for layer in found)


def test_samples_without_an_error_signal_are_excluded_from_the_delta_angle() -> None:
    model, layers = attached(dense_net(), find_rule("fa")())
    x, y = normal(4, 12), torch.arange(4)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(output[1:], y[1:])

    full = measure_alignment(model, layers, x, y, loss)
    part = measure_alignment(model, layers, x[1:], y[1:], F.cross_entropy)
    for a, b in zip(full, part, strict=True):
        assert a.delta_angle == pytest.approx(b.delta_angle, abs=1e-5)


@pytest.mark.parametrize(("errors", "defined"), [(1, False), (2, True)])
def test_a_delta_angle_needs_an_error_in_at_least_half_of_the_samples(errors: int, defined: bool) -> None:
    model, layers = attached(dense_net(), find_rule("fa")())
    found = measure_alignment(
        model, layers, normal(4, 12), torch.arange(4), lambda output, y: F.cross_entropy(output[:errors], y[:errors])
    )
    assert [math.isfinite(layer.delta_angle) for layer in found] == [defined] * 3


def test_a_dying_network_has_no_delta_angle_of_its_last_living_units() -> None:
    model, layers = attached(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)), find_rule("fa")())
    x = normal(8, 6)
    with torch.no_grad():
        layers[0].bias -= 100.0
        layers[0].bias[0] = 0.0
        layers[0].weight[0] = x[0]  # one unit that is active for few images
        layers[0].bias[0] = -0.5 * float(x[0] @ x[0])
    active = int((layers[0](x) > 0).any(1).sum())
    assert 0 < active < 4
    first, last = measure_alignment(model, layers, x, torch.arange(8) % 4, F.cross_entropy)
    assert math.isnan(first.delta_angle) and last.delta_angle == 0.0


def test_an_exploded_network_has_no_delta_angle_even_if_some_samples_have_one() -> None:
    model, layers = attached(dense_net(), find_rule("fa")())
    x, y = normal(4, 12), torch.arange(4)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(output, y) + (output[0] * float("inf")).sum()

    assert all(math.isnan(layer.delta_angle) for layer in measure_alignment(model, layers, x, y, loss))


def test_a_layer_that_does_not_affect_the_output_has_no_delta_angle() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(6, 5), nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            self.idle(x)
            return self.used(x)  # type: ignore[no-any-return]

    model, layers = attached(Forked(), find_rule("fa")())
    used, idle = measure_alignment(model, layers, normal(3, 6), torch.arange(3), F.cross_entropy)
    assert used.delta_angle == 0.0 and math.isnan(idle.delta_angle)


def test_the_output_layer_is_the_deepest_even_if_the_model_defines_it_first() -> None:
    class HeadFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.body = nn.Linear(7, 5), nn.Linear(6, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x).tanh())  # type: ignore[no-any-return]

    model, x = HeadFirst(), normal(3, 6)
    layers = attach(model, find_rule("fa")(), example=x)
    found = {layer.name: layer for layer in measure_alignment(model, layers, x, torch.arange(3), F.cross_entropy)}
    assert (found["body"].depth, found["head"].depth) == (0, 1)
    assert found["head"].delta_angle == 0.0 < found["body"].delta_angle
    assert median_over_layers("delta_angle", list(found.values())) == found["body"].delta_angle


def test_under_bp_no_alignment_is_measured() -> None:
    model, layers = attached(conv_net(), find_rule("bp")())
    assert measure_alignment(model, layers, *batch(), F.cross_entropy) == ()


@pytest.mark.parametrize("training", [True, False])
def test_measuring_alignment_has_no_side_effects(training: bool) -> None:
    model, layers = attached(nn.Sequential(nn.Dropout(0.3), conv_net()), find_rule("kp")())
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    model.train(training)
    state, draws = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    found = measure_alignment(model, layers, x, y, F.cross_entropy)
    assert measure_alignment(model, layers, x, y, F.cross_entropy) == found
    assert torch.equal(torch.random.get_rng_state(), draws)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert {name for name, p in model.named_parameters() if p.grad is not None} == set(grads)
    assert all(torch.equal(model.get_parameter(name).grad, g) for name, g in grads.items())  # type: ignore[arg-type]
    assert model.training == training and not x.requires_grad
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_with_dropout_both_backward_passes_use_the_same_mask() -> None:
    model, layers = attached(nn.Sequential(dense_net(), nn.Dropout(0.5)), find_rule("sham")())
    found = measure_alignment(model, layers, normal(8, 12), torch.arange(8) % 5, F.cross_entropy)
    assert [layer.delta_angle for layer in found] == [0.0] * 3


def test_batch_norm_uses_the_statistics_of_the_probe_batch() -> None:
    model, layers = attached(conv_net(), find_rule("fa")())
    expected = [layer.delta_angle for layer in measured(model.train(), layers).values()]
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.add_(3.0)
    assert [layer.delta_angle for layer in measured(model.eval(), layers).values()] == expected
