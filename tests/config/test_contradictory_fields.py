"""Fields of a run that contradict each other are rejected when the config is created."""

from collections.abc import Callable

import pytest

from nowt.config.run_config import DataConfig, OptimConfig, RunConfig
from nowt.core.errors import ConfigError
from nowt.core.seeding import Seeds
from nowt.rules.weight_mirror import WeightMirror
from tests.support.config_errors import config_error


@pytest.mark.parametrize(
    ("optim", "message"),
    [
        (OptimConfig(warmup=6.0), "warmup is 6 epochs: the run has 5"),
        (OptimConfig(schedule="step", milestones=(5.0, 8.0)), "must lie above 0 and below 5"),
    ],
)
def test_a_schedule_longer_than_the_run_is_rejected(optim: OptimConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RunConfig(optim=optim, epochs=5)


def test_a_target_angle_needs_weight_decay_that_a_mirror_can_follow() -> None:
    def config(target: float, optim: OptimConfig) -> Callable[[], RunConfig]:
        return lambda: RunConfig(rule=WeightMirror(target_angle=target), optim=optim)

    assert config_error(config(8.0, OptimConfig(weight_decay=0.0))) == (
        "rule.target_angle is 8, but optim.weight_decay is 0, by which nowt knows how fast W turns: set "
        "optim.weight_decay above 0, or leave out rule.target_angle and set samples, interval and decay"
    )
    line = config_error(config(4.0, OptimConfig(lr=0.1, weight_decay=0.01)))
    assert line.startswith(
        "rule.target_angle is 4: at the largest learning rate, W loses 1 % of its memory per training"
    )
    assert "leaves 8.0° or more" in line
    assert config(4.0, OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.01))().rule.target_angle == 4.0  # type: ignore[attr-defined]


def test_a_mirror_that_would_never_run_is_rejected() -> None:
    assert config_error(lambda: RunConfig(rule=WeightMirror(burst=10, burst_epochs=6), epochs=5)) == (
        "rule.burst_epochs is 6, but the run has 5 epochs, so no phase would begin: leave out rule.burst, or lower "
        "rule.burst_epochs"
    )
    assert RunConfig(rule=WeightMirror(burst=10, burst_epochs=5), epochs=5).epochs == 5
    assert config_error(lambda: RunConfig(rule=WeightMirror(interval=0, warmup=0))) == (
        "rule.warmup, rule.interval and rule.burst are 0, so B would stay as it was drawn: set one of them above 0, or "
        "use rule fa"
    )


def test_a_run_that_trains_on_its_validation_images_must_score_test_images() -> None:
    trained_on = DataConfig(hold_out=False)
    assert config_error(lambda: RunConfig(data=trained_on, test=False)) == (
        "data.hold_out is False, so validation images are trained on, and test is False, as in searches: nothing "
        "would be left to score; set data.hold_out or test to True"
    )
    assert RunConfig(data=trained_on, test="last").test == "last"


def test_a_seed_of_an_order_that_is_not_drawn_is_rejected() -> None:
    assert config_error(lambda: RunConfig(data=DataConfig(shuffle=False), seeds=Seeds(order=3))) == (
        "seeds.order is 3, but data.shuffle is False, so no order is drawn: leave out either"
    )
