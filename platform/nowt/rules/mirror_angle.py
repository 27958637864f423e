"""The angle that a weight mirror leaves between B and a W that keeps changing, and the settings that reach an angle.

While W changes, two errors add: the noise of sampling, and the lag of B behind W. Notation, for one layer:

    κ   turnover: the share of W's memory that is lost from one mirror step to the next, so that the correlation of W
        with W k mirror steps ago is (1 − κ)^k
    m   positions per mirror step: samples times positions of the layer's output
    n   fan-in
    λ   decay of B per mirror step, which is also its η
    u   tan²θ, with θ the angle between B and W

B is the exponential average of noisy copies of earlier W. With q = (1 − λ)(1 − κ), its part along today's W is
c = λ/(1 − q), and its squared norm is λ/(2 − λ) · ((1 + q)/(1 − q) + (n + 1)/m), both in units of W. For small κ and λ
this is u = κ/λ + (n + 1) λ/(2m) · (1 + κ/λ)². The best λ is then κ (2 + u)/u, which takes m = 2 κ (n + 1)(1 + u)/u²
positions. For a small angle that is 2 κ (n + 1)/tan⁴θ: half the angle takes sixteen times the samples.
"""

import math


def tangent_square(angle: float) -> float:
    """Return tan²θ of an angle in degrees."""
    return math.tan(math.radians(angle)) ** 2


def angle_of(square: float) -> float:
    """Return the angle in degrees whose tan² is ``square``."""
    return math.degrees(math.atan(math.sqrt(square)))


def tracking_error(turnover: float, decay: float, positions: float, fan_in: int) -> float:
    """Return the expected tan² of the angle between B and W, averaged over the time between two mirror steps.

    Args:
        turnover: κ, in [0, 1).
        decay: λ, in (0, 1].
        positions: m; above 0.
        fan_in: n.
    """
    along, lag = _parts(turnover, decay)
    return (decay / (2 - decay) * (fan_in + 1) / positions + lag) / along**2 - 1


def needed_positions(turnover: float, decay: float, square: float, fan_in: int) -> float:
    """Return the positions per mirror step that reach tan²θ = ``square``; infinite if the lag alone is larger."""
    along, lag = _parts(turnover, decay)
    noise = ((1 + square) * along**2 - lag) * (2 - decay) / decay
    return (fan_in + 1) / noise if noise > 0 else math.inf


def _parts(turnover: float, decay: float) -> tuple[float, float]:
    """Return B's part along today's W, and its squared norm without noise, for |W| = 1.

    W changes for another mirror step before B does, so the part is smaller by κ/2 on average.
    """
    kept = (1 - decay) * (1 - turnover)
    return decay / (1 - kept) * (1 - turnover / 2), decay / (2 - decay) * (1 + kept) / (1 - kept)


def best_decay(turnover: float, square: float) -> float:
    """Return the λ that reaches tan²θ = ``square`` with the fewest positions, at most 1."""
    return min(1.0, turnover * (2 + square) / square)


def warmed_up_noise(steps: int, decay: float) -> float:
    """Return the share of one mirror step's noise variance that B holds after ``steps`` steps before learning.

    Step k = 1, 2, ... weights the new sample with max(λ, 1/k), so that the initial B is forgotten at once.
    """
    noise = 0.0
    for step in range(1, steps + 1):
        rate = max(decay, 1 / step)
        noise = (1 - rate) ** 2 * noise + rate**2
    return noise
