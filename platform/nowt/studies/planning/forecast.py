"""Forecasts the angle between B and W, per layer and epoch, from the schedule and the first gradients.

W moves in two ways: weight decay removes the share κ of it per step, and gradients add weights that are independent of
it. In a network with batch norm, the gradient is proportional to 1/|W|, so that under SGD, with r = |W|/|W(0)| and g
the norm of the gradient divided by |W|, both at initialization,

    r² ← (1 − κ)² r² + (η/(1 − μ))² g²/r².

AdamW divides the gradient by its size: each of the N weights moves by about η whatever |W| is, so

    r² ← (1 − κ)² r² + η² N/|W(0)|².

Both tend to a constant |W| (rotational equilibrium; Kosson et al., 2023, arXiv 2305.17212). From it follow

    kp: W − B is the initial difference times a share s (``remaining_difference``), and W keeps the same share s of its
        initial value. With B(0) independent of W(0) and of the same norm, |B| = |W| and the angle is arccos(1 − s²/r²).
    wm: the products <B, W> and |B|² follow W and the mirror steps (see ``nowt.rules.mirror_angle``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nowt.config.run_config import RunConfig
from nowt.rules.base import Rule
from nowt.rules.schedule import Schedule
from nowt.training.schedule import learning_rate, remaining_difference

Array = NDArray[np.float64]

MOST_BLOCKS = 10_000  # a longer run is computed in blocks of several steps

# Gradients fall after the first steps: to a third within 250 steps on ResNet-20 (CIFAR-10); to a twentieth within 50 in
# the first layer of ResNet-18 (Imagenette), but not at all in its last ones.
SMALLER = 0.1


@dataclass(frozen=True)
class LayerMotion:
    """What moves a layer's W.

    Attributes:
        name: Name of the layer.
        fan_in: n.
        gradient: g, the norm of the first gradients divided by that of W; under AdamW √N/|W(0)|.
    """

    name: str
    fan_in: int
    gradient: float


@dataclass(frozen=True)
class MirrorClock:
    """How often, and how well, a layer's B is compared with W.

    Attributes:
        decay: λ. η only scales B, which changes no angle.
        positions: m, positions per mirror step; infinite for noise that reads W out.
        along: <B, W> at the end of the mirror steps before learning, in units of |W|² and of the gain.
        square: |B|² then, in the same units.
        interval: Training steps per mirror step; 0 if ``turnover`` decides, or if there are none during learning.
        turnover: κ per mirror step; 0 if ``interval`` decides.
        burst: Mirror steps in a phase between epochs.
        burst_epochs: Epochs from one phase to the next.
    """

    decay: float
    positions: float
    along: float
    square: float
    interval: int = 0
    turnover: float = 0.0
    burst: int = 0
    burst_epochs: int = 1

    def steps(self, schedule: Schedule, step: int) -> int:
        """Return the mirror steps during learning up to training step ``step``."""
        regular = int(schedule.turnover[step] // self.turnover) if self.turnover else 0
        regular += step // self.interval if self.interval else 0
        return regular + step // (self.burst_epochs * schedule.steps_per_epoch) * self.burst


def norms(config: RunConfig, schedule: Schedule, layers: Sequence[LayerMotion]) -> Array:
    """Return r² = |W|²/|W(0)|² of each layer at the end of each block of steps: (blocks + 1, layers)."""
    gradients = np.array([layer.gradient for layer in layers]) ** 2
    # r⁴ (AdamW: r²) obeys a linear equation: exact for a constant η, and stable for any block
    power = 1 if config.optim.name == "adamw" else 2
    found = [np.ones(len(layers))]
    for first, last in blocks(schedule):
        turned = 2 * power * (schedule.turnover[last] - schedule.turnover[first])
        added = power * _rate(config, schedule, (first + last) // 2) ** 2 * gradients * (last - first)
        spread = -math.expm1(-turned) / turned if turned > 0 else 1.0
        found.append((math.exp(-turned) * found[-1] ** power + spread * added) ** (1 / power))
    return np.stack(found)


def with_smaller_gradients(config: RunConfig, layers: Sequence[LayerMotion]) -> list[LayerMotion]:
    """Return the layers with gradients of a tenth of their size; under AdamW as they are, since their size does not
    matter there."""
    factor = 1.0 if config.optim.name == "adamw" else SMALLER
    return [replace(layer, gradient=factor * layer.gradient) for layer in layers]


def _rate(config: RunConfig, schedule: Schedule, step: int) -> float:
    """Return how far W moves in all by one gradient of norm 1: η/(1 − μ) under SGD, η under AdamW."""
    rate = learning_rate(config.optim, step, schedule.steps_per_epoch, config.epochs)
    return rate / (1 - config.optim.momentum if config.optim.name == "sgd" else 1)


def blocks(schedule: Schedule) -> list[tuple[int, int]]:
    """Return the steps of the run in blocks (first, last) that end at epochs."""
    per_epoch = schedule.steps_per_epoch
    steps = len(schedule.turnover) - 1
    size = max(1, math.ceil(steps / MOST_BLOCKS))
    edges = sorted({*range(0, steps, size), *range(0, steps + 1, per_epoch), steps})
    return list(pairwise(edges))


def epoch_rows(schedule: Schedule) -> list[int]:
    """Return the rows of a table by blocks at which an epoch ends, epoch 0 first."""
    per_epoch = schedule.steps_per_epoch
    return [0, *(i + 1 for i, (_, last) in enumerate(blocks(schedule)) if last % per_epoch == 0)]


def kolen_pollack_angles(config: RunConfig, schedule: Schedule, layers: Sequence[LayerMotion]) -> Array:
    """Return the angle in degrees that ``kp`` leaves after each epoch: (epochs + 1, layers)."""
    left = np.array(remaining_difference(config, schedule.steps_per_epoch))[:, None]
    return angles_of_equal_updates(config.rule, left, norms(config, schedule, layers)[epoch_rows(schedule)])


def angles_of_equal_updates(rule: Rule, left: Array | float, squares: Array) -> Array:
    """Return the angle in degrees between W and a B with the same updates.

    Args:
        rule: The rule that drew the initial B.
        left: s, the share of W − B that remains; it broadcasts with ``squares``.
        squares: r² = |W|²/|W(0)|².
    """
    scale, cosine = initial_feedback(rule)
    initial = np.square(left)
    learned = squares - initial  # what the gradients have added to W and B alike
    along, square = learned + initial * scale * cosine, learned + initial * scale**2
    angles: Array = np.degrees(np.arccos(np.clip(along / np.sqrt(square * squares), -1, 1)))
    return angles


def initial_feedback(rule: Rule) -> tuple[float, float]:
    """Return |B|/|W| and the cosine of the angle between B and W at initialization."""
    angle = getattr(rule, "angle", None)
    return getattr(rule, "scale", 1.0), 0.0 if angle is None else math.cos(math.radians(angle))


def mirror_angles(
    config: RunConfig, schedule: Schedule, layers: Sequence[LayerMotion], clocks: Sequence[MirrorClock]
) -> Array:
    """Return the angle in degrees that ``wm`` leaves after each epoch: (epochs + 1, layers)."""
    squares = norms(config, schedule, layers)
    columns = [_mirror_layer(schedule, squares[:, i], layer, clocks[i]) for i, layer in enumerate(layers)]
    return np.stack(columns, axis=1)[epoch_rows(schedule)]


def _mirror_layer(schedule: Schedule, squares: Array, layer: LayerMotion, clock: MirrorClock) -> Array:
    """Return the angle of one layer after each block, from A = <B, W> and N = |B|² in units of |W(0)|²."""
    along, norm = clock.along, clock.square
    noise = (layer.fan_in + 1) / clock.positions * clock.decay / (2 - clock.decay)
    angles = [_angle(along, norm, 1.0)]
    for square, (first, last) in zip(squares[1:], blocks(schedule), strict=True):
        along *= math.exp(schedule.turnover[first] - schedule.turnover[last])
        kept = (1 - clock.decay) ** (clock.steps(schedule, last) - clock.steps(schedule, first))
        norm = kept**2 * norm + 2 * kept * (1 - kept) * along + ((1 - kept) ** 2 + noise * (1 - kept**2)) * square
        along = kept * along + (1 - kept) * square
        angles.append(_angle(along, norm, square))
    return np.array(angles)


def _angle(along: float, norm: float, square: float) -> float:
    length = math.sqrt(norm * square)
    return math.degrees(math.acos(max(-1.0, min(1.0, along / length)))) if length > 0 else math.nan
