"""Chooses the settings of a weight mirror for each layer, so that the angles between B and W meet a target.

This is a controller outside the learning rule: it knows the learning-rate schedule and the shapes of the layers. It
uses nothing that is measured, so the same configuration always gets the same settings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from nowt.core.errors import require
from nowt.rules.mirror_angle import angle_of, best_decay, needed_positions, tangent_square, tracking_error
from nowt.rules.mirror_noise import MirrorNoise
from nowt.rules.mirror_work import MirrorWork
from nowt.rules.schedule import Schedule

if TYPE_CHECKING:
    from nowt.rules.base import Rule
    from nowt.rules.feedback_layer import FeedbackLayer

# A mirror step shows up to this many positions where the schedule leaves the choice. Fewer, larger steps are faster.
POSITIONS = 2048

# λ is at most this where the schedule leaves the choice, so that B averages several mirror steps.
MOST_DECAY = 0.25

# κ per training step from which W forgets too fast for any mirror
MOST_TURNOVER = 0.5

EXTENTS = (32, 16, 8, 4, 2, 1)

LEAST_SAMPLES = 4  # positions of one sample overlap, so a mirror step draws several samples


@dataclass(frozen=True)
class LayerShape:
    """What decides a layer's settings.

    Attributes:
        fan_in: Weights of one output unit.
        weights: Entries of W. The operations per position are proportional to them.
        sampling_errors: For each usable extent: tan² of the angle that a single sample leaves, (extent, tan²).
    """

    fan_in: int
    weights: int
    sampling_errors: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class MirrorSettings:
    """The mirror settings of one layer.

    Attributes:
        samples: Noise samples per mirror step.
        extent: Positions per side of a convolution's output.
        interval: Training steps per mirror step at the largest learning rate. A lower rate makes it longer, so that W
            always turns by the same share from one mirror step to the next.
        turnover: That share, κ.
        decay: λ, and η, of B.
        warmup: Mirror steps before learning.
        angle: The angle that theory expects, in degrees.
        positions: Positions per mirror step, counted by their worth: padding hides some from the outer taps.
    """

    samples: int
    extent: int
    interval: int
    turnover: float
    decay: float
    warmup: int
    angle: float
    positions: float

    def work(self, layer: "FeedbackLayer", layers: int) -> MirrorWork:
        """Return the work of one mirror step of ``layer``, one of ``layers``."""
        return MirrorWork(self.samples / layers, mirror_step_flops(layer, self.samples, self.extent))


def mirror_step_flops(layer: "FeedbackLayer", samples: int, extent: int) -> float:
    """Return the FLOPs of one mirror step: two products with the weights at each position.

    It is torch's count, as for all FLOPs in the logs. Torch counts Σ y xᵀ of a grouped convolution as if it had one
    group.
    """
    positions = layer.geometry.positions(torch.empty(layer.geometry.probe_shape(samples, extent), device="meta"))
    groups = getattr(layer, "groups", 1)
    return 2.0 * positions * layer.weight.numel() * (1 + groups)


def layer_settings(
    target: float | None, layers: Sequence["FeedbackLayer"], schedule: Schedule
) -> tuple[MirrorSettings, ...]:
    """Return the settings of each layer by which a mirror meets its ``target_angle``.

    Raises ConfigError if it cannot.
    """
    assert target is not None
    return choose_settings(target, tuple(map(_known_shape, layers)), schedule.peak)


# computed once per layer: a mirror step asks for it, and it takes longer than a small mirror step
_SHAPES: "WeakKeyDictionary[FeedbackLayer, LayerShape]" = WeakKeyDictionary()


def _known_shape(layer: "FeedbackLayer") -> LayerShape:
    if layer not in _SHAPES:
        _SHAPES[layer] = layer_shape(layer, usable_extents(layer))
    return _SHAPES[layer]


def usable_extents(layer: "FeedbackLayer") -> tuple[int, ...]:
    """Return ``EXTENTS``, and a larger one if a wide kernel needs it for its outer weights to receive noise."""
    largest, geometry = EXTENTS[0], layer.geometry
    while geometry.has_unreached_weights(geometry.probe_shape(1, largest)):
        largest *= 2
    return EXTENTS if largest == EXTENTS[0] else (largest, *EXTENTS)


def layer_shape(layer: "FeedbackLayer", extents: Sequence[int]) -> LayerShape:
    """Return what decides the settings of ``layer``, without the extents at which some weights see only padding."""
    geometry = layer.geometry
    shapes = {extent: geometry.probe_shape(1, extent) for extent in extents}
    usable = {extent: shape for extent, shape in shapes.items() if not geometry.has_unreached_weights(shape)}
    errors = tuple((extent, geometry.sampling_error(shape)) for extent, shape in usable.items())
    return LayerShape(layer.fan_in, layer.weight.numel(), errors)


@lru_cache(maxsize=64)
def choose_settings(target: float, shapes: tuple[LayerShape, ...], turnover: float) -> tuple[MirrorSettings, ...]:
    """Return the settings of each layer.

    Args:
        target: Root mean square of the layers' tangents, as an angle in degrees. No layer's angle exceeds twice this.
        shapes: The layers.
        turnover: κ per training step at the largest learning rate.

    Raises:
        ConfigError: If W turns so fast that no number of samples reaches the target.
    """
    check_reachable(target, turnover)
    square = tangent_square(target)
    squares = allocate(square, shapes, turnover)
    return tuple(_settings(shape, each, turnover) for shape, each in zip(shapes, squares, strict=True))


def check_reachable(target: float, turnover: float) -> None:
    """Raise ConfigError if W turns so fast that no number of samples reaches the angle ``target``."""
    least = angle_of(2 * turnover) if turnover < MOST_TURNOVER else 90.0
    require(
        target >= least,
        f"rule.target_angle is {target:g}: at the largest learning rate, W loses {100 * turnover:.2g} % of its memory "
        f"per training step, so even a mirror step after each leaves {least:.1f}° or more; use a larger target_angle, "
        "or a smaller optim.lr or optim.weight_decay",
    )


def allocate(square: float, shapes: Sequence[LayerShape], turnover: float) -> list[float]:
    """Return tan²θ of each layer: the mean is ``square``, none exceeds that of twice the angle, and the cost is least.

    A layer's cost is proportional to w (1 + u)/u², with w = weights · (fan_in + 1). At the least cost its derivative,
    w (2 + u)/u³, is the same for all layers. No layer gets less than 2 κ, half of which is the lag behind a single
    training step.
    """
    angle = angle_of(square)
    most = tangent_square(2 * angle) if 2 * angle < 90 else math.inf
    costs = [float(shape.weights * (shape.fan_in + 1)) for shape in shapes]

    def shares(price: float) -> list[float]:
        free = [_solve(lambda u, w=cost: w * (2 + u) / u**3 - price) for cost in costs]  # type: ignore[misc]
        return [min(most, max(2 * turnover, u)) for u in free]

    price = _solve(lambda price: sum(shares(price)) / len(costs) - square)
    return shares(price)


def _solve(falling: Callable[[float], float]) -> float:
    """Return where a falling function of a positive number is 0, by bisection of its logarithm."""
    low, high = -200.0, 200.0
    for _ in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(math.exp(middle)) > 0 else (low, middle)
    return math.exp(low)


def _settings(shape: LayerShape, square: float, turnover: float) -> MirrorSettings:
    interval = _interval(shape, square, turnover)
    step = interval * turnover
    decay = best_decay(step, square)
    needed = needed_positions(step, decay, square, shape.fan_in)
    extent, samples, positions = _samples(shape, needed)
    angle = angle_of(tracking_error(step, decay, positions, shape.fan_in))
    warmup = math.ceil(2 / decay)  # twice the memory of B
    return MirrorSettings(samples, extent, interval, step, decay, warmup, angle, positions)


def _interval(shape: LayerShape, square: float, turnover: float) -> int:
    """Return the training steps per mirror step, at least 1: as many as ``POSITIONS`` and ``MOST_DECAY`` allow."""
    for_positions = POSITIONS * square**2 / (2 * (shape.fan_in + 1) * (1 + square))
    for_decay = MOST_DECAY * square / (2 + square)
    return max(1, math.floor(min(for_positions, for_decay) / turnover))


def _samples(shape: LayerShape, needed: float) -> tuple[int, int, float]:
    """Return the extent and samples that show at least ``needed`` positions with the fewest operations, and those
    positions."""
    choices = []
    for extent, error in shape.sampling_errors:
        worth = (shape.fan_in + 1) / error  # of a sample, in positions
        samples = max(LEAST_SAMPLES, math.ceil(needed / worth))
        choices.append((samples * max(extent, 1) ** 2, -extent, samples, samples * worth))
    _, extent, samples, positions = min(choices)
    return -extent, samples, positions


@lru_cache(maxsize=1024)
def with_settings(noise: MirrorNoise, chosen: MirrorSettings) -> MirrorNoise:
    """Return the noise that has these settings, for one layer."""
    return replace(noise, target_angle=None, samples=chosen.samples, extent=chosen.extent)


# the fields that nowt chooses to meet a target angle, and those for which it knows no angle
REPLACED_BY_TARGET = (
    *("eta", "decay", "samples", "extent", "interval", "warmup", "burst", "streams"),
    *("noise", "sigma", "receiver_noise", "through", "bias", "last_activation", "normalize"),
)


def replaced_by_target(rule: "Rule") -> list[str]:
    """Return the fields that ``target_angle`` replaces and that do not have their default."""
    names = [item.name for item in fields(rule) if getattr(rule, item.name) != item.default]
    return [name for name in names if name in REPLACED_BY_TARGET]
