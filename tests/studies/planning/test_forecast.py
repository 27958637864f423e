"""The forecast of angles: its laws against direct simulations of W and B."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nowt.config.run_config import DataConfig, OptimConfig, RunConfig
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.planning.forecast import (
    LayerMotion,
    MirrorClock,
    epoch_rows,
    kolen_pollack_angles,
    mirror_angles,
    norms,
)
from nowt.training.schedule import learning_rate, turnover_schedule

STEPS, EPOCHS, SIZE = 50, 8, 4000  # steps per epoch, epochs, weights of a layer

CONFIG = RunConfig(
    data=DataConfig("synthetic"),
    rule=KolenPollack(),
    optim=OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.05),
    epochs=EPOCHS,
)

OPTIMS = {
    "cosine": OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.05),
    "constant": OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.05, schedule="constant"),
    "momentum": OptimConfig(lr=0.02, momentum=0.8, weight_decay=0.05),
    "steps": OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.1, schedule="step", milestones=(4.0,), warmup=1.0),
    "no decay": OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.0),
}

Array = NDArray[np.float64]


def gradients(gradient: float) -> "list[Array]":
    """Return the random directions of a run's gradients, each of norm ``gradient``."""
    draw = np.random.default_rng(1)
    return [gradient / math.sqrt(SIZE) * draw.standard_normal(SIZE) for _ in range(STEPS * EPOCHS)]


def unit(seed: int) -> Array:
    weight = np.random.default_rng(seed).standard_normal(SIZE)
    return weight / np.linalg.norm(weight)


def trained(config: RunConfig, gradient: float, feedback: Array | None = None) -> tuple[list[float], list[float]]:
    """Train a scale-invariant W by SGD, and B beside it as under ``kp``; return |W|² and their angle after each epoch.

    The gradient is orthogonal to nothing in particular, and its norm is ``gradient``/|W|.
    """
    optim, weight = config.optim, unit(0)
    other = unit(2) if feedback is None else feedback
    velocity, difference = np.zeros(SIZE), np.zeros(SIZE)
    squares, angles = [1.0], [degrees(weight, other)]
    for step, direction in enumerate(gradients(gradient)):
        rate = learning_rate(optim, step, STEPS, config.epochs)
        push = direction / np.linalg.norm(weight)
        velocity = optim.momentum * velocity + push + optim.weight_decay * weight
        difference = optim.momentum * difference + push + optim.weight_decay * other
        weight, other = weight - rate * velocity, other - rate * difference
        if (step + 1) % STEPS == 0:
            squares.append(float(weight @ weight))
            angles.append(degrees(weight, other))
    return squares, angles


def degrees(a: Array, b: Array) -> float:
    return math.degrees(math.acos(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


@pytest.mark.parametrize("name", OPTIMS)
@pytest.mark.parametrize("gradient", [0.1, 1.0])
def test_the_norm_of_w_is_that_of_a_simulated_scale_invariant_layer(name: str, gradient: float) -> None:
    config = replace(CONFIG, optim=OPTIMS[name])
    schedule = turnover_schedule(config, STEPS)
    found = norms(config, schedule, [LayerMotion("a", 9, gradient)])[epoch_rows(schedule)][:, 0]
    squares, _ = trained(config, gradient)
    # with momentum, the push at the end of the run has not all arrived
    assert found == pytest.approx(squares, rel=0.06 if name == "momentum" else 0.03)


@pytest.mark.parametrize("name", OPTIMS)
def test_the_angle_of_kp_is_that_of_a_simulated_pair(name: str) -> None:
    config = replace(CONFIG, optim=OPTIMS[name])
    schedule = turnover_schedule(config, STEPS)
    found = kolen_pollack_angles(config, schedule, [LayerMotion("a", 9, 1.0)])[:, 0]
    _, angles = trained(config, 1.0)
    assert found == pytest.approx(angles, abs=2.5)
    assert found[0] == 90 and found[-1] < 80


@pytest.mark.parametrize(("scale", "angle"), [(2.0, None), (0.5, None), (1.0, 40.0), (2.0, 150.0)])
def test_the_angle_of_kp_knows_how_b_starts(scale: float, angle: float | None) -> None:
    config = replace(CONFIG, rule=KolenPollack(scale=scale, angle=angle))
    turn = math.radians(90 if angle is None else angle)
    feedback = scale * (math.cos(turn) * unit(0) + math.sin(turn) * unit(2))
    schedule = turnover_schedule(config, STEPS)
    found = kolen_pollack_angles(config, schedule, [LayerMotion("a", 9, 0.5)])[:, 0]
    assert found == pytest.approx(trained(config, 0.5, feedback)[1], abs=2.5)


def test_under_adamw_every_weight_moves_by_the_learning_rate() -> None:
    optim = OptimConfig("adamw", lr=0.002, weight_decay=2.0, schedule="constant")
    config, draw = replace(CONFIG, optim=optim), np.random.default_rng(3)
    weight, squares = draw.standard_normal(SIZE), [1.0]
    initial = float(weight @ weight)
    for step in range(STEPS * EPOCHS):
        weight = (1 - optim.lr * optim.weight_decay) * weight - optim.lr * 10 * np.sign(draw.standard_normal(SIZE))
        if (step + 1) % STEPS == 0:
            squares.append(float(weight @ weight) / initial)
    schedule = turnover_schedule(config, STEPS)
    motion = LayerMotion("a", 9, 10 * math.sqrt(SIZE / initial))
    assert norms(config, schedule, [motion])[epoch_rows(schedule)][:, 0] == pytest.approx(squares, rel=0.06)


CLOCKS = {
    "interval": MirrorClock(0.2, 200, 1.0, 1.1, interval=5),
    "every step": MirrorClock(0.02, 40, 1.0, 1.0, interval=1),
    "from an independent b": MirrorClock(0.3, 200, 0.0, 1.0, interval=10),
    "bursts": MirrorClock(0.3, 200, 1.0, 1.05, burst=6, burst_epochs=2),
    "turnover": MirrorClock(0.3, 400, 1.0, 1.05, turnover=0.03),
    "only before": MirrorClock(0.3, 400, 1.0, 1.05),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_the_angle_of_wm_is_that_of_a_simulated_mirror(name: str) -> None:
    clock, fan_in = CLOCKS[name], 63
    config = replace(CONFIG, rule=WeightMirror(), optim=OPTIMS["cosine"])
    schedule = turnover_schedule(config, STEPS)
    found = mirror_angles(config, schedule, [LayerMotion("a", fan_in, 0.5)], [clock])[:, 0]
    draw, weight = np.random.default_rng(5), unit(0)
    across = math.sqrt(clock.square - clock.along**2)
    feedback = clock.along * weight + across * unit(4)
    angles = [degrees(weight, feedback)]
    for step, direction in enumerate(gradients(0.5), start=1):
        rate = learning_rate(config.optim, step - 1, STEPS, EPOCHS)
        weight = (1 - rate * config.optim.weight_decay) * weight - rate * direction / np.linalg.norm(weight)
        for _ in range(clock.steps(schedule, step) - clock.steps(schedule, step - 1)):
            deviation = np.linalg.norm(weight) * math.sqrt((fan_in + 1) / clock.positions / SIZE)
            seen = weight + deviation * draw.standard_normal(SIZE)
            feedback = (1 - clock.decay) * feedback + clock.decay * seen
        if step % STEPS == 0:
            angles.append(degrees(weight, feedback))
    assert found == pytest.approx(angles, abs=2.5)


def test_a_long_run_is_forecast_in_blocks_with_the_same_angles(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule, motion = turnover_schedule(CONFIG, STEPS), [LayerMotion("a", 63, 0.5)]
    exact = (
        kolen_pollack_angles(CONFIG, schedule, motion),
        mirror_angles(CONFIG, schedule, motion, [CLOCKS["interval"]]),
    )
    monkeypatch.setattr("nowt.studies.planning.forecast.MOST_BLOCKS", 60)
    blocked = (
        kolen_pollack_angles(CONFIG, schedule, motion),
        mirror_angles(CONFIG, schedule, motion, [CLOCKS["interval"]]),
    )
    assert [len(each) for each in blocked] == [EPOCHS + 1, EPOCHS + 1]
    for one, other in zip(exact, blocked, strict=True):
        assert other == pytest.approx(one, abs=1)
