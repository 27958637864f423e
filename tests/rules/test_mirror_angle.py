"""The angle that a weight mirror leaves while W changes: the formula against a simulation."""

import math

import numpy as np
import pytest

from nowt.rules.mirror_angle import (
    angle_of,
    best_decay,
    needed_positions,
    tangent_square,
    tracking_error,
    warmed_up_noise,
)

SETTINGS = [  # κ, λ, positions, fan-in
    (0.001, 0.05, 400, 63),
    (0.01, 0.2, 64, 27),
    (0.02, 0.1, 2000, 575),  # mostly lag
    (0.0001, 0.3, 40, 575),  # mostly noise: about 56°
    (0.2, 0.5, 30, 99),  # both: about 60°
    (0.1, 1.0, 200, 63),  # B is the last sample alone
]

PARTS = 8  # of the time between two mirror steps; the angle is averaged over the ends of the odd ones


def simulated(turnover: float, decay: float, positions: float, fan_in: int) -> float:
    """Return tan² of the angle between B and a W of 4,000 entries whose memory fades: W is an AR(1) process."""
    draw, size = np.random.default_rng(0), 4000
    kept = (1 - turnover) ** (1 / PARTS)
    weight, along, square = draw.standard_normal(size), [], []
    feedback = weight.copy()
    forget = math.ceil(6 / decay)
    for step in range(forget + 150):
        noise = math.sqrt((fan_in + 1) / positions) * draw.standard_normal(size)
        feedback = (1 - decay) * feedback + decay * (weight + noise)
        for part in range(PARTS):
            if step >= forget and part % 2:
                along.append(feedback @ weight / (weight @ weight))
                square.append(feedback @ feedback / (weight @ weight))
            weight = kept * weight + math.sqrt(1 - kept**2) * draw.standard_normal(size)
    return float(np.mean(square) / np.mean(along) ** 2 - 1)


@pytest.mark.parametrize(("turnover", "decay", "positions", "fan_in"), SETTINGS)
def test_the_expected_angle_is_that_of_a_simulation(
    turnover: float, decay: float, positions: float, fan_in: int
) -> None:
    expected = angle_of(tracking_error(turnover, decay, positions, fan_in))
    assert angle_of(simulated(turnover, decay, positions, fan_in)) == pytest.approx(expected, abs=0.6)


def test_for_slow_changes_the_two_terms_add() -> None:
    turnover, decay, positions, fan_in = 1e-6, 1e-3, 1000, 99
    expected = turnover / decay + (fan_in + 1) * decay / (2 * positions)
    assert tracking_error(turnover, decay, positions, fan_in) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("square", [0.001, 0.02, 0.5, 4.0])
@pytest.mark.parametrize("turnover", [1e-6, 1e-4, 5e-4])
def test_the_needed_positions_leave_the_angle_that_they_were_asked_for(square: float, turnover: float) -> None:
    decay = best_decay(turnover, square)
    positions = needed_positions(turnover, decay, square, 575)
    assert tracking_error(turnover, decay, positions, 575) == pytest.approx(square)
    assert needed_positions(turnover, turnover / square / 2, square, 575) == math.inf  # the lag alone is larger


@pytest.mark.parametrize("square", [0.001, 0.02, 0.5])
def test_no_other_decay_needs_fewer_positions(square: float) -> None:
    turnover = square / 1000
    best = best_decay(turnover, square)
    fewest = needed_positions(turnover, best, square, 575)
    assert fewest == pytest.approx(2 * turnover * 576 * (1 + square) / square**2, rel=0.01)
    for other in (0.8 * best, 1.25 * best):
        assert needed_positions(turnover, other, square, 575) > fewest


def test_before_learning_all_samples_count_equally_until_b_has_a_memory() -> None:
    assert warmed_up_noise(10, 0.01) == pytest.approx(1 / 10)
    assert warmed_up_noise(5000, 0.01) == pytest.approx(0.01 / 1.99)


def test_angles_and_tangents_are_inverse() -> None:
    assert [angle_of(tangent_square(angle)) for angle in (1.0, 45.0, 80.0)] == pytest.approx([1.0, 45.0, 80.0])
