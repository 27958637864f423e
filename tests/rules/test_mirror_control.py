"""The mirror settings that nowt chooses to hold a target angle, and the angle that they hold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nowt.config.placement import Placement
from nowt.config.recipes import digits
from nowt.config.run_config import RunConfig
from nowt.data.datasets import open_data
from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_angle import tangent_square
from nowt.rules.mirror_control import (
    LayerShape,
    MirrorSettings,
    allocate,
    choose_settings,
    layer_settings,
    layer_shape,
    mirror_step_flops,
    replaced_by_target,
    usable_extents,
)
from nowt.rules.mirror_work import MirrorWork
from nowt.rules.moment import Moment
from nowt.rules.schedule import Schedule
from nowt.rules.weight_mirror import WeightMirror
from nowt.training.state import TrainingState
from tests.support.config_errors import config_error

SHAPES = (
    LayerShape(27, 27 * 16, ((8, 28 / 60),)),
    LayerShape(144, 144 * 32, ((8, 145 / 60),)),
    LayerShape(576, 576 * 64, ((8, 577 / 60),)),
    LayerShape(64, 640, ((1, 65.0),)),
)

TURNOVER = 5e-4


@pytest.fixture(scope="module")
def tiny_resnet() -> TrainingState:
    """The network of the recipe ``digits``, held at 8° before learning."""
    config: RunConfig = replace(digits(WeightMirror(target_angle=8.0)), test=False)
    placement = Placement(device="cpu")
    training = TrainingState.create(config, placement, open_data(config.data, placement, False))
    training.before_learning()
    return training


def squares(chosen: Sequence[MirrorSettings]) -> list[float]:
    return [tangent_square(each.angle) for each in chosen]


@pytest.mark.parametrize("target", [4.0, 8.0, 20.0, 40.0, 60.0])
def test_the_mean_of_the_squared_tangents_meets_the_target_and_no_layer_exceeds_twice_the_angle(target: float) -> None:
    expected = allocate(tangent_square(target), SHAPES, TURNOVER)
    assert np.mean(expected) == pytest.approx(tangent_square(target))
    chosen = choose_settings(target, SHAPES, TURNOVER)
    # whole samples, and at least four of them, only add precision
    assert all(found <= 1.01 * asked for found, asked in zip(squares(chosen), expected, strict=True))
    assert max(each.angle for each in chosen) <= 2.01 * target


def test_another_allocation_with_the_same_mean_costs_more() -> None:
    def cost(found: Sequence[float]) -> float:
        pairs = zip(SHAPES, found, strict=True)
        return sum(shape.weights * (shape.fan_in + 1) * (1 + u) / u**2 for shape, u in pairs)

    best, most = allocate(tangent_square(8.0), SHAPES, TURNOVER), tangent_square(16.0)
    free = [i for i, u in enumerate(best) if 2.1 * TURNOVER < u < 0.99 * most]
    assert len(free) >= 2
    for i in free:
        for j in free:
            if i != j:
                moved = [*best]
                moved[i], moved[j] = best[i] + 1e-4, best[j] - 1e-4
                assert cost(moved) > cost(best)


def test_the_same_layers_and_schedule_get_the_same_settings_as_whole_numbers(tiny_resnet: TrainingState) -> None:
    rule, schedule = tiny_resnet.config.rule, tiny_resnet.schedule
    assert isinstance(rule, WeightMirror)
    chosen = layer_settings(rule.target_angle, tiny_resnet.layers, schedule)
    shapes = tuple(layer_shape(layer, usable_extents(layer)) for layer in tiny_resnet.layers)
    choose_settings.cache_clear()
    assert choose_settings(8.0, shapes, schedule.peak) == chosen
    for each in chosen:
        assert all(isinstance(n, int) for n in (each.samples, each.extent, each.interval, each.warmup))


def test_before_learning_every_layer_has_the_angle_that_theory_expects(tiny_resnet: TrainingState) -> None:
    from nowt.studies.planning.alignment import forecast
    from nowt.studies.planning.forecast import LayerMotion

    motions = [LayerMotion(layer.name, layer.fan_in, 1.0) for layer in tiny_resnet.layers]
    angles = forecast(tiny_resnet, motions)
    assert angles is not None
    for layer, expected in zip(tiny_resnet.layers, angles[0], strict=True):
        assert angle(layer.feedback, layer.weight) == pytest.approx(expected, abs=1)


def layers_of(rule: WeightMirror) -> list[FeedbackLayer]:
    """Return a linear layer and two convolutions, the second strided, each with W of unit variance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(40, 30), nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=2)
        )
    return attach(net, rule, quiet=True)


def held_angles(target: float, kappa: float, steps: int) -> tuple[list[float], list[MirrorSettings]]:
    """Let the layers' W forget at the rate ``kappa`` per training step; return the root mean square of each layer's
    tangent over the second half, as angles, and the chosen settings."""
    rule = WeightMirror(target_angle=target)
    layers, schedule = layers_of(rule), Schedule(steps, [kappa * step for step in range(steps + 1)])
    draw, deviations = torch.Generator().manual_seed(1), [layer.weight.std().item() for layer in layers]
    RuleSteps(rule, layers).before_learning(Moment(0, seed=0, schedule=schedule))
    found: list[list[float]] = [[] for _ in layers]
    for step in range(1, steps + 1):
        for layer, deviation, seen in zip(layers, deviations, found, strict=True):
            fresh = deviation * torch.randn(layer.weight.shape, generator=draw)
            layer.weight.data.mul_(1 - kappa).add_(fresh, alpha=math.sqrt(1 - (1 - kappa) ** 2))
            if step > steps // 2:
                seen.append(tangent_square(angle(layer.feedback, layer.weight)))
        RuleSteps(rule, layers).after_step(Moment(step, seed=0, schedule=schedule))
    chosen = layer_settings(rule.target_angle, layers, schedule)
    return [math.degrees(math.atan(math.sqrt(np.mean(seen)))) for seen in found], list(chosen)


@pytest.mark.parametrize(("target", "kappa", "steps"), [(8.0, 1e-3, 600), (20.0, 5e-3, 600), (45.0, 2e-2, 600)])
def test_layers_whose_weights_keep_changing_are_held_at_the_target(target: float, kappa: float, steps: int) -> None:
    found, chosen = held_angles(target, kappa, steps)
    for measured, each in zip(found, chosen, strict=True):
        assert measured == pytest.approx(each.angle, abs=1.5)
    assert math.sqrt(np.mean([tangent_square(a) for a in found])) <= 1.1 * math.tan(math.radians(target))


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(20, 10),
    "convolution": lambda: nn.Conv2d(4, 6, 3),
    "padding": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "stride": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "stride without padding": lambda: nn.Conv2d(4, 6, 1, stride=2),
    "groups": lambda: nn.Conv2d(4, 8, 5, padding=2, groups=2),
    "dilation": lambda: nn.Conv2d(4, 8, 3, dilation=2, padding=2),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("extent", [4, 8])
def test_the_flops_of_a_mirror_step_are_those_that_torch_counts(kind: str, extent: int) -> None:
    rule = WeightMirror(samples=3, extent=extent, interval=1)
    layers = attach(nn.Sequential(MAKERS[kind]()), rule, quiet=True)
    with FlopCounterMode(display=False) as counter:
        RuleSteps(rule, layers).after_step(Moment(1, seed=0))
    assert mirror_step_flops(layers[0], samples=3, extent=extent) == counter.get_total_flops()


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("extent", [3, 8])
def test_the_sampling_error_is_that_of_many_samples(kind: str, extent: int) -> None:
    (layer,) = attach(nn.Sequential(MAKERS[kind]()), WeightMirror(), quiet=True)
    shape, errors = layer.geometry.probe_shape(2, extent), []
    weight = layer.weight.detach()
    for seed in range(200):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        found = layer.geometry.mirror_product(x, layer.apply_weight(x).detach()) / layer.geometry.tap_counts(x)
        errors.append(float((found - weight).square().sum() / weight.square().sum()))
    assert np.mean(errors) == pytest.approx(layer.geometry.sampling_error(shape), rel=0.12)


def test_the_work_that_the_rule_reports_is_what_it_does() -> None:
    rule = WeightMirror(target_angle=10.0)
    layers, schedule = layers_of(rule), Schedule(100, [1e-3 * step for step in range(101)])
    with FlopCounterMode(display=False) as counter:
        work = RuleSteps(rule, layers).before_learning(Moment(0, seed=0, schedule=schedule))
    assert isinstance(work, MirrorWork)
    assert work.flops == counter.get_total_flops()
    chosen = layer_settings(rule.target_angle, layers, schedule)
    assert work.samples == pytest.approx(sum(each.samples * each.warmup for each in chosen) / 3)


def test_a_wide_kernel_gets_noise_that_reaches_all_its_weights() -> None:
    rule = WeightMirror(target_angle=20.0)
    layers = attach(nn.Sequential(nn.Conv2d(2, 3, 3, padding=40, dilation=40)), rule, quiet=True)
    schedule = Schedule(10, [1e-3 * step for step in range(11)])
    RuleSteps(rule, layers).before_learning(Moment(0, seed=0, schedule=schedule))
    assert angle(layers[0].feedback, layers[0].weight) < 20


def test_a_turnover_at_which_no_mirror_keeps_up_is_refused_in_one_line() -> None:
    line = config_error(lambda: choose_settings(5.0, SHAPES, 0.01))
    assert line == (
        "rule.target_angle is 5: at the largest learning rate, W loses 1 % of its memory per training step, so even a "
        "mirror step after each leaves 8.0° or more; use a larger target_angle, or a smaller optim.lr or "
        "optim.weight_decay"
    )
    assert "leaves 90.0° or more" in config_error(lambda: choose_settings(89.0, SHAPES, 0.8))


@pytest.mark.parametrize("turnover", [1e-9, 1e-4, 3e-3, 0.4])
@pytest.mark.parametrize("target", [5.0, 30.0, 85.0])
def test_every_reachable_target_gets_settings(target: float, turnover: float) -> None:
    try:
        chosen = choose_settings(target, SHAPES, turnover)
    except ValueError as error:
        assert "use a larger target_angle" in str(error)
        return
    for each in chosen:
        assert each.samples >= 1 and each.interval >= 1 and 0 < each.decay <= 1 and each.warmup >= 1


def test_a_field_that_the_target_replaces_is_refused_beside_it() -> None:
    assert replaced_by_target(WeightMirror(target_angle=8.0, last_layer="backprop", start="normal")) == []
    defaults = {item.name: item.default for item in fields(WeightMirror)}
    for name, value in {"samples": 64, "interval": 4, "eta": 0.1, "burst": 3, "noise": "sign"}.items():
        assert defaults[name] != value
        with pytest.raises(ValueError) as caught:
            WeightMirror(target_angle=8.0, **{name: value})  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"rule.{name} is {value}: with rule.target_angle, nowt chooses it; leave out one of the two"
        )


@pytest.mark.parametrize("target", [0.0, -1.0, 90.0, 120.0])
def test_a_target_that_is_no_acute_angle_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match=r"it must lie above 0 and below 90 degrees"):
        WeightMirror(target_angle=target)
