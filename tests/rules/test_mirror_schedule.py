"""When a weight mirror acts in a run: after bursts of epochs, or as the turnover of W demands."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.core.distributed import Group
from nowt.layers.attach import attach
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_control import layer_settings
from nowt.rules.moment import Moment
from nowt.rules.schedule import Schedule
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.records import epoch_to_json
from nowt.training.loop import train
from tests.support.nets import batch, conv_net
from tests.support.short_runs import CASES, CPU, STEPS, short_run

SCHEDULE = Schedule(4, [1e-3 * step for step in range(17)])


def linear(rule: WeightMirror) -> list[FeedbackLayer]:
    """Return a linear layer with ``rule``; W is the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return attach(nn.Sequential(nn.Linear(6, 5)), rule, quiet=True)


def samples_shown(rule: WeightMirror, steps: int) -> list[Any]:
    """Return the mirror samples before learning and after each training step, in epochs of four steps."""
    layers = linear(rule)
    shown = [RuleSteps(rule, layers).before_learning(Moment(0, seed=0, schedule=SCHEDULE))]
    return shown + [
        RuleSteps(rule, layers).after_step(Moment(n, seed=0, schedule=SCHEDULE)) for n in range(1, steps + 1)
    ]


def test_a_burst_is_mirrored_after_every_epoch_beside_the_interval_and_the_warm_up() -> None:
    fields: dict[str, Any] = {"samples": 4, "warmup": 2}
    assert samples_shown(WeightMirror(**fields, interval=0, burst=3), 8) == [8, 0, 0, 0, 12, 0, 0, 0, 12]
    assert samples_shown(WeightMirror(**fields, interval=0, burst=3, burst_epochs=2), 8) == [8, *[0] * 7, 12]
    assert samples_shown(WeightMirror(**fields, interval=2, burst=3), 4) == [8, 0, 4, 0, 16]


def test_the_steps_of_a_burst_draw_different_noise_and_those_of_the_next_burst_others() -> None:
    def moved(burst: int, step: int) -> Tensor:
        rule = WeightMirror(samples=4, warmup=0, interval=0, burst=burst, decay=0.0)
        layers = linear(rule)
        before = layers[0].feedback.clone()
        RuleSteps(rule, layers).after_step(Moment(step, seed=0, schedule=SCHEDULE))
        return layers[0].feedback - before

    one, two, three = (moved(burst, 4) for burst in (1, 2, 3))
    updates = [one, two - one, three - two, moved(1, 8)]
    for i, first in enumerate(updates):
        assert all(not torch.allclose(first, other, rtol=0.05) for other in updates[:i])


def test_a_burst_differs_from_the_mirror_step_of_the_interval() -> None:
    plain, both = (WeightMirror(samples=4, warmup=0, interval=4, decay=0.0, burst=burst) for burst in (0, 1))
    found = []
    for rule in (plain, both):
        layers = linear(rule)
        before = layers[0].feedback.clone()
        RuleSteps(rule, layers).after_step(Moment(4, seed=0, schedule=SCHEDULE))
        found.append(layers[0].feedback - before)
    assert not torch.allclose(found[1], 2 * found[0], rtol=0.05)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"burst": -1}, "rule.burst is -1: it must be 0 or above"),
        ({"burst": 1, "burst_epochs": 0}, "rule.burst_epochs is 0: it must be at least 1"),
        ({"burst_epochs": 2}, "rule.burst_epochs is 2: it is for rule.burst above 0"),
    ],
)
def test_invalid_bursts_are_rejected(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        WeightMirror(**fields)  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(("field", "value"), [("target_angle", 8.0), ("burst", 2)])
def test_a_custom_loop_is_told_that_the_setting_needs_train(field: str, value: float) -> None:
    model = conv_net()
    feedback = attach(model, WeightMirror(**{field: value}), quiet=True)  # type: ignore[arg-type]
    x, y = batch()
    nn.functional.cross_entropy(model(x), y).backward()
    with pytest.raises(ValueError) as caught:
        feedback.step(torch.optim.SGD(model.parameters(), lr=0.1))
    assert str(caught.value) == (
        f"rule.{field} needs the length of an epoch and the learning-rate schedule, which nowt knows only in "
        "nowt.train: in your own loop, set samples, interval and decay"
    )


class OtherWorker(Group):
    """The second of two workers, which share nothing."""

    rank, size = 1, 2


def test_a_target_angle_gives_the_same_b_on_every_worker() -> None:
    rule, found = WeightMirror(target_angle=20.0), []
    for group in (Group(), OtherWorker()):
        layers = linear(rule)
        RuleSteps(rule, layers).before_learning(Moment(0, 0, group, SCHEDULE))
        for step in range(1, 17):
            RuleSteps(rule, layers).after_step(Moment(step, 0, group, SCHEDULE))
        found.append(layers[0].feedback.clone())
    assert torch.equal(*found)


def test_a_lower_learning_rate_makes_mirror_steps_rarer() -> None:
    rule = WeightMirror(target_angle=20.0)
    sums = [0.0]
    for step in range(2000):
        sums.append(sums[-1] + (5e-3 if step < 1000 else 5e-4))
    schedule = Schedule(1000, sums)
    (chosen,) = layer_settings(rule.target_angle, linear(rule), schedule)
    acts = [schedule.reaches(step, chosen.turnover) for step in range(1, 2001)]
    assert sum(acts[:1000]) == pytest.approx(1000 / chosen.interval, abs=1)
    assert sum(acts[1000:]) == pytest.approx(100 / chosen.interval, abs=1)


def test_the_mirror_samples_of_a_target_angle_are_recorded_as_a_whole_number() -> None:
    epochs = list(train(CASES["wm at a target angle"], CPU))
    shown = [epoch_to_json(epoch)["mirror_presentations"] for epoch in epochs]
    assert all(type(number) is int for number in shown) and 0 < shown[0] < shown[1] < shown[2]
    assert epochs[0].flops > 0 == epochs[0].presentations


def test_bursts_are_counted_like_other_mirror_steps() -> None:
    config = short_run("wm", fields={"interval": 0, "warmup": 2, "samples": 4, "burst": 5, "extent": 4})
    first, second, third = train(config, CPU)
    assert [epoch.mirror_presentations for epoch in (first, second, third)] == [8, 28, 48]
    assert third.flops - second.flops == pytest.approx(second.flops - first.flops)
    assert second.step == STEPS


def test_the_turnover_of_a_run_follows_its_learning_rate() -> None:
    from nowt.training.schedule import turnover_schedule

    def sums(optim: OptimConfig) -> list[float]:
        return list(turnover_schedule(short_run(optim=optim), 2).turnover)

    assert sums(OptimConfig(lr=0.1, momentum=0.5, weight_decay=0.01, schedule="constant")) == pytest.approx(
        [0.0, 0.002, 0.004, 0.006, 0.008]
    )
    assert sums(OptimConfig("adamw", lr=0.1, weight_decay=0.01, schedule="constant"))[-1] == pytest.approx(0.004)
    falling = sums(OptimConfig(lr=0.1, weight_decay=0.01))
    assert falling[2] - falling[1] > falling[4] - falling[3] > 0
