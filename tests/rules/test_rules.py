"""The built-in rules: how each one updates B, and which settings are rejected."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment
from nowt.rules.registry import builtin_rules, find_rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, dense_net, rule_id, train_step


def one_layer(plain: nn.Module, name: str, **fields: Any) -> FeedbackLayer:
    """Attach the rule ``name`` to the layer ``plain``."""
    return attached(nn.Sequential(plain), find_rule(name)(**fields))[1][0]


def test_fa_never_changes_b() -> None:
    model, layers = attached(conv_net(), find_rule("fa")())
    before = [layer.feedback.clone() for layer in layers]
    for step in range(1, 4):
        train_step(model, layers, torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1), *batch(), step)
    assert all(torch.equal(layer.feedback, b) for layer, b in zip(layers, before, strict=True))


@pytest.mark.parametrize("magnitudes", ["constant", "fixed", "redrawn"])
def test_sign_symmetry_tracks_the_signs_of_w_and_not_its_magnitudes(magnitudes: str) -> None:
    model, layers = attached(conv_net(norm=False), find_rule("ss")(magnitudes=magnitudes))
    sizes = [layer.feedback.abs() for layer in layers]
    signs = [layer.weight.sign() for layer in layers]
    for step in range(1, 9):
        train_step(model, layers, torch.optim.SGD(model.parameters(), lr=0.5), *batch(), step)
        assert all(torch.equal(layer.feedback.sign(), layer.weight.sign()) for layer in layers)
    assert any(not torch.equal(layer.weight.sign(), s) for layer, s in zip(layers, signs, strict=True))
    same = [torch.equal(layer.feedback.abs(), size) for layer, size in zip(layers, sizes, strict=True)]
    assert same == [magnitudes != "redrawn"] * 4


@pytest.mark.parametrize("magnitudes", ["constant", "fixed", "redrawn"])
def test_sign_symmetry_magnitudes_have_the_root_mean_square_of_w_times_scale(magnitudes: str) -> None:
    layer = one_layer(nn.Linear(200, 100), "ss", magnitudes=magnitudes, scale=0.5)
    expected = 0.5 * float(layer.weight.detach().square().mean().sqrt())
    for step in range(3):
        assert float(layer.feedback.square().mean().sqrt()) == pytest.approx(expected, rel=0.02)
        RuleSteps(layer.rule, [layer]).after_step(Moment(step, seed=0))


def test_redrawn_magnitudes_depend_only_on_seed_layer_and_step() -> None:
    first, second = (one_layer(nn.Linear(30, 20), "ss", magnitudes="redrawn") for _ in range(2))
    second.load_state_dict(first.state_dict())
    seen = []
    for moment in (Moment(1, 0), Moment(2, 0), Moment(2, 1)):
        for layer in (first, second):
            RuleSteps(layer.rule, [layer]).after_step(moment)
        assert torch.equal(first.feedback, second.feedback)
        seen.append(first.feedback.clone())
        RuleSteps(second.rule, [second]).after_step(Moment(77, 7))  # steps in between have no effect
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])


def test_sign_symmetry_gives_a_weight_of_exactly_0_a_nonzero_b() -> None:
    plain = nn.Linear(6, 5)
    nn.init.zeros_(plain.weight[0])
    layer = one_layer(plain, "ss", magnitudes="constant")
    RuleSteps(layer.rule, [layer]).after_step(Moment(1, seed=0))
    assert layer.feedback.all()


def test_sham_copies_w_into_b_after_every_step() -> None:
    model, layers = attached(conv_net(), find_rule("sham")())
    for step in range(1, 4):
        train_step(model, layers, torch.optim.SGD(model.parameters(), lr=0.5), *batch(), step)
        assert all(torch.equal(layer.feedback, layer.weight) for layer in layers)


def test_kolen_pollack_gives_b_the_gradient_of_w_before_the_step_and_removes_it_afterwards() -> None:
    model, layers = attached(conv_net(), find_rule("kp")())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = batch()
    nn.functional.cross_entropy(model(x), y).backward()
    RuleSteps(layers[0].rule, layers).before_step(optimizer, Moment(0, 0))
    for layer in layers:
        assert layer.feedback.grad is layer.weight.grad is not None  # shared, so no extra memory is used
    RuleSteps(layers[0].rule, layers).after_step(Moment(1, seed=0))
    assert all(layer.feedback.grad is None and layer.weight.grad is not None for layer in layers)


def test_mirror_mode_follows_its_schedule_and_counts_its_samples() -> None:
    def shown(steps: int, **fields: Any) -> list[int]:
        layer = one_layer(nn.Linear(6, 5), "wm", samples=4, **fields)
        before = layer.feedback.clone()
        counts = [RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))]
        counts += [RuleSteps(layer.rule, [layer]).after_step(Moment(step, seed=0)) for step in range(1, steps)]
        assert torch.equal(layer.feedback, before) == (sum(counts) == 0)
        return counts

    assert shown(8, warmup=5, interval=3) == [20, 0, 0, 4, 0, 0, 4, 0]
    assert shown(4, warmup=0, interval=1) == [0, 4, 4, 4]
    assert shown(4, warmup=2, interval=0) == [8, 0, 0, 0]
    assert shown(4, warmup=0, interval=0) == [0, 0, 0, 0]


def test_mirror_noise_depends_only_on_seed_layer_and_step_and_not_on_the_layers_below() -> None:
    def mirrored(model: nn.Sequential, moment: Moment) -> list[torch.Tensor]:
        layers = attach(model, find_rule("wm")(interval=1), seed=0)
        RuleSteps(layers[0].rule, layers).after_step(moment)
        return [layer.feedback.clone() for layer in layers]

    first, again = (mirrored(dense_net(), Moment(3, 0)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    changed_below = dense_net()
    nn.init.zeros_(changed_below[0].weight)
    assert torch.equal(mirrored(changed_below, Moment(3, 0))[1], first[1])
    for moment in (Moment(4, 0), Moment(3, 1)):
        assert not torch.equal(mirrored(dense_net(), moment)[1], first[1])
    twins = nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9))
    twins[1].load_state_dict(twins[0].state_dict())
    layers = attach(twins, find_rule("wm")(warmup=1, decay=1.0), seed=0)
    RuleSteps(layers[0].rule, layers).before_learning(Moment(0, 0))
    assert not torch.equal(layers[0].feedback, layers[1].feedback)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_every_rule_lowers_the_loss(rule: Rule) -> None:
    model, layers = attached(conv_net(), rule)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    RuleSteps(rule, layers).before_learning(Moment(0, seed=0))
    losses = [train_step(model, layers, optimizer, *batch(), step) for step in range(1, 31)]
    assert losses[-1] < 0.5 * losses[0]


def test_built_in_rules_declare_what_they_read_of_w() -> None:
    assert {rule.name: rule().transports for rule in builtin_rules() if rule().transports} == {
        "bp": "weight",
        "ss": "sign",
        "sham": "weight",
    }


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("fa", {"scale": 0.0}, "rule.scale is 0.0: it must be above 0"),
        ("ss", {"scale": -1.0}, "rule.scale is -1.0: it must be above 0"),
        ("kp", {"angle": 181.0}, "rule.angle is 181.0: it must lie in [0, 180] degrees, or be none"),
        ("wm", {"scale": 0.0}, "rule.scale is 0.0: it must be above 0"),
        ("wm", {"eta": 0.0}, "rule.eta is 0.0: it must be above 0"),
        ("wm", {"sigma": -0.1}, "rule.sigma is -0.1: it must be above 0"),
        ("wm", {"decay": 2.0}, "rule.decay is 2.0: it must lie in [0, 2), or B grows without bound"),
        ("wm", {"receiver_noise": -1.0}, "rule.receiver_noise is -1.0: it must be 0 or above"),
        ("wm", {"extent": -1}, "rule.extent is -1: it must be 0 or above"),
        ("wm", {"interval": -1}, "rule.interval is -1: it must be 0 or above"),
        ("wm", {"warmup": -1}, "rule.warmup is -1: it must be 0 or above"),
        ("wm", {"samples": 0}, "rule.samples is 0: it must be at least 1"),
        (
            "wm",
            {"bias": True, "noise": "idealised"},
            "rule.bias is for random noise: with rule.noise idealised, the response is W alone",
        ),
        (
            "wm",
            {"last_activation": "sigmoid"},
            "rule.last_activation sigmoid needs rule.through nonlinearity and rule.last_layer rule: they are "
            "linear and rule",
        ),
        (
            "wm",
            {"last_activation": "sigmoid", "through": "nonlinearity", "last_layer": "backprop"},
            "rule.last_activation sigmoid needs rule.through nonlinearity and rule.last_layer rule: they are "
            "nonlinearity and backprop",
        ),
    ],
)
def test_invalid_fields_of_rules_are_rejected(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        find_rule(name)(**fields)
    assert str(caught.value) == message


def test_a_mirror_that_adds_biases_is_rejected_on_a_network_without_any() -> None:
    layer = one_layer(nn.Conv2d(3, 4, 3, padding=1, bias=False), "wm", bias=True)
    with pytest.raises(ValueError, match=r"rule.bias is True, but no layer with a B has a bias: leave out rule.bias"):
        RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))


@pytest.mark.parametrize("make", [lambda: nn.Linear(30, 4), lambda: nn.Conv2d(3, 4, 3)], ids=["linear", "conv"])
def test_the_mirror_adds_each_bias_to_the_response_of_its_unit(make: Callable[[], nn.Module]) -> None:
    moved = []
    for bias in (True, False):
        torch.manual_seed(0)
        layer = one_layer(make(), "wm", bias=bias, decay=0.0, interval=1, normalize="none", samples=3)
        with torch.no_grad():
            assert layer.bias is not None
            layer.bias.copy_(torch.tensor([0.0, 0.0, 5.0, -5.0]))
        before = layer.feedback.clone()
        RuleSteps(layer.rule, [layer]).after_step(Moment(1, seed=0))
        moved.append((layer.feedback - before).flatten(1))
    added = moved[0] - moved[1]
    assert not added[:2].any() and added[2].abs().min() > 0
    torch.testing.assert_close(added[2], -added[3], rtol=1e-3, atol=1e-4)


def test_mirror_noise_that_cannot_reach_every_weight_is_rejected_before_learning() -> None:
    layer = one_layer(nn.Conv2d(3, 4, 3, padding=1), "wm", extent=1)
    with pytest.raises(
        ValueError, match=r"rule.extent is 1: in layer 0, some weights see only padding .* larger extent"
    ):
        RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))
    for fields in ({"extent": 2}, {"extent": 1, "noise": "idealised"}):
        layer = one_layer(nn.Conv2d(3, 4, 3, padding=1), "wm", warmup=1, **fields)
        assert RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))


@pytest.mark.parametrize("decay", [0.02, 0.0])
def test_before_learning_b_is_the_mean_of_all_mirror_updates_or_their_sum_without_decay(decay: float) -> None:
    """With constant W, 20 steps with the decreasing rate approach W as closely as 20 steps' samples allow."""
    layer = one_layer(nn.Linear(60, 40), "wm", warmup=20, samples=4, eta=0.02, decay=decay)
    start, weight = layer.feedback.clone(), layer.weight.detach()
    RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=0))
    gain = float((layer.feedback * weight).sum() / weight.square().sum())
    sampling = math.degrees(math.atan(math.sqrt(61 / (20 * 4 * 64))))
    if decay:
        assert gain == pytest.approx(20 / 21, rel=0.05)
        assert angle(layer.feedback, weight) == pytest.approx(sampling, rel=0.4)
    else:
        moved = float(((layer.feedback - start) * weight).sum() / weight.square().sum())
        assert moved == pytest.approx(20 * 0.02, rel=0.05)
