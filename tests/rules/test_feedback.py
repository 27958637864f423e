"""Initialization of B: the same for all rules of a seed, with the configured distribution, scale and angle."""

import copy
import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import nn

from nowt.config.run_config import ModelConfig
from nowt.layers.alignment import angle
from nowt.layers.rule_steps import RuleSteps
from nowt.models.registry import build_model
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.moment import Moment
from nowt.rules.registry import find_rule
from tests.support.nets import EVERY_RULE, attached, batch, conv_net, rule_id, train_step

DRAWN = ("fa", "wm", "kp")


def initial_feedback(model: nn.Module, name: str, seed: int = 0, **fields: Any) -> dict[str, torch.Tensor]:
    """Return B by layer name, before learning."""
    layers = attached(model, find_rule(name)(**fields), seed)[1]
    return {layer.name: layer.feedback.detach() for layer in layers}


def one_layer(plain: nn.Module, name: str, **fields: Any) -> FeedbackLayer:
    """Attach the rule ``name`` to the layer ``plain``."""
    return attached(nn.Sequential(plain), find_rule(name)(**fields))[1][0]


def test_with_one_seed_all_rules_have_the_same_initial_b() -> None:
    fa, wm, kp = (initial_feedback(conv_net(), name) for name in DRAWN)
    assert list(fa) == ["0", "3", "6", "9"]
    assert all(torch.equal(fa[n], wm[n]) and torch.equal(fa[n], kp[n]) for n in fa)
    magnitudes = initial_feedback(conv_net(), "ss", magnitudes="fixed")
    assert all(torch.equal(fa[n].abs(), magnitudes[n].abs()) for n in fa)


def test_the_initial_b_differs_between_seeds_and_between_layers() -> None:
    model = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 20))
    model[1].load_state_dict(model[0].state_dict())
    first, other = initial_feedback(model, "fa"), initial_feedback(model, "fa", seed=1)
    assert not torch.equal(first["0"], first["1"])
    assert not torch.equal(first["0"], other["0"])


def test_the_initial_b_of_a_layer_does_not_depend_on_the_other_layers() -> None:
    model = conv_net()
    smaller = nn.Sequential(*list(copy.deepcopy(model))[:7])
    torch.manual_seed(5)
    full, part = initial_feedback(model, "kp"), initial_feedback(smaller, "kp")
    assert all(torch.equal(part[n], full[n]) for n in part) and len(part) == 3
    without_last = initial_feedback(model, "wm", last_layer="backprop")
    assert all(torch.equal(without_last[n], full[n]) for n in without_last) and len(without_last) == 3
    resnets = [build_model(ModelConfig(name=n), (3, 32, 32), 10, 0) for n in ("tiny_resnet", "resnet20")]
    tiny, deep = (initial_feedback(m, "fa") for m in resnets)
    shared = [n for n in tiny if n in deep and tiny[n].shape == deep[n].shape]
    assert "layer3.0.downsample.0" in shared
    assert all(torch.equal(tiny[n], deep[n]) for n in shared)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=rule_id)
def test_attach_and_training_do_not_change_the_global_generator(rule: Rule) -> None:
    x, y = batch()
    before = torch.random.get_rng_state()
    model, layers = attached(conv_net(), rule)
    RuleSteps(rule, layers).before_learning(Moment(0, seed=0))
    train_step(model, layers, torch.optim.SGD(model.parameters(), lr=0.1), x, y, step=8)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_as_weight_initializes_b_with_the_shuffled_entries_of_w() -> None:
    layer = one_layer(nn.Conv2d(16, 32, 3), "fa", scale=2.0)
    assert torch.equal(layer.feedback.flatten().sort()[0], 2 * layer.weight.flatten().sort()[0])
    assert angle(layer.feedback, layer.weight) == pytest.approx(90, abs=4 * 57.3 / math.sqrt(16 * 32 * 9))


@pytest.mark.parametrize(
    ("start", "oracle"), [("normal", stats.norm()), ("uniform", stats.uniform(-(3**0.5), 2 * 3**0.5))]
)
def test_a_normal_or_uniform_b_has_the_standard_deviation_of_w_times_scale(start: str, oracle: Any) -> None:
    layer = one_layer(nn.Linear(100, 80), "fa", start=start, scale=0.5)
    standard = layer.feedback / (0.5 * layer.weight.detach().std())
    assert stats.kstest(standard.flatten().double().numpy(), oracle.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("degrees", [0.0, 0.01, 30.0, 90.0, 135.0, 180.0])
def test_the_initial_b_has_the_configured_angle_to_w(name: str, degrees: float) -> None:
    for start in ("as_weight", "normal", "uniform"):
        layer = one_layer(nn.Conv2d(8, 16, 3), name, angle=degrees, scale=1.5, start=start)
        assert angle(layer.feedback, layer.weight) == pytest.approx(degrees, abs=2e-4)
        assert float(layer.feedback.norm() / layer.weight.detach().norm()) == pytest.approx(1.5, rel=1e-5)


def test_the_initial_angles_of_resnet18_are_those_of_akrout_et_al() -> None:
    model = build_model(ModelConfig(name="resnet18", weights="paper"), (3, 64, 64), 1000, seed=0)
    fa, fixed, constant = (
        initial_feedback(model, "fa"),
        initial_feedback(model, "ss"),
        initial_feedback(model, "ss", magnitudes="constant"),
    )
    weights = {n: model.get_parameter(f"{n}.weight") for n in fixed}
    for name in ("layer4.1.conv2", "layer2.0.conv1"):
        tolerance = 4 * 57.3 / math.sqrt(weights[name].numel())
        assert angle(fixed[name], weights[name]) == pytest.approx(47.53, abs=tolerance)
        assert angle(constant[name], weights[name]) == pytest.approx(34.74, abs=tolerance)
        assert angle(fa[name], weights[name]) == pytest.approx(90, abs=tolerance)
    assert angle(fixed["fc"], weights["fc"]) == pytest.approx(50.46, abs=0.2)
    assert angle(constant["fc"], weights["fc"]) == pytest.approx(37.07, abs=0.2)
