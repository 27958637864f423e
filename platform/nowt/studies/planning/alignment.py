"""What ``nowt plan`` says of the alignment that a cell's settings allow, and of the cost of mirror mode."""

import math
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from nowt.core.errors import ConfigError
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_angle import warmed_up_noise
from nowt.rules.mirror_control import MirrorSettings, layer_settings, mirror_step_flops
from nowt.rules.schedule import Schedule
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.planning.forecast import (
    Array,
    LayerMotion,
    MirrorClock,
    initial_feedback,
    kolen_pollack_angles,
    mirror_angles,
    with_smaller_gradients,
)
from nowt.training.state import TrainingState

COLUMNS = 13  # of a table of angles: the epochs of a run of 12


def forecast(training: TrainingState, motions: Sequence[LayerMotion]) -> Array | None:
    """Return the angle between B and W in degrees to expect after each epoch, (epochs + 1, layers); None for a rule or
    settings for which there is no theory."""
    rule = training.config.rule
    if rule.name == "kp":
        return kolen_pollack_angles(training.config, training.schedule, motions)
    if isinstance(rule, WeightMirror) and (clocks := mirror_clocks(rule, training.layers, training.schedule)):
        return mirror_angles(training.config, training.schedule, motions, clocks)
    return None


def mirror_clocks(rule: WeightMirror, layers: Sequence[FeedbackLayer], schedule: Schedule) -> list[MirrorClock]:
    """Return what decides the angle of each layer; empty without a theory, because the noise passes a nonlinearity or
    meets a bias or other noise, padding bends B, or B never decays."""
    if rule.target_angle is not None:
        chosen = layer_settings(rule.target_angle, layers, schedule)
        return [_target_clock(layer.fan_in, each) for layer, each in zip(layers, chosen, strict=True)]
    other = rule.through != "linear" or rule.bias or rule.receiver_noise > 0
    if other or rule.decay == 0 or rule.normalize != "taps":
        return []
    return [_clock(rule, layer) for layer in layers]


def _target_clock(fan_in: int, chosen: MirrorSettings) -> MirrorClock:
    noise = (fan_in + 1) / chosen.positions * warmed_up_noise(chosen.warmup, chosen.decay)
    return MirrorClock(chosen.decay, chosen.positions, 1.0, 1.0 + noise, turnover=chosen.turnover)


def _clock(rule: WeightMirror, layer: FeedbackLayer) -> MirrorClock:
    exact = rule.noise == "idealised"
    shape = layer.geometry.probe_shape(rule.samples, rule.extent)
    noise = 0.0 if exact else layer.geometry.sampling_error(shape) / rule.streams
    positions = math.inf if exact else (layer.fan_in + 1) / noise
    along, square = _warmed_up(rule, noise)
    return MirrorClock(
        rule.decay, positions, along, square, rule.interval, burst=rule.burst, burst_epochs=rule.burst_epochs
    )


def _warmed_up(rule: WeightMirror, noise: float) -> tuple[float, float]:
    """Return <B, W> and |B|² before learning, in units of |W|² and of the gain ησ²/λ. ``noise``: tan² of the angle that
    a single mirror step leaves."""
    scale, cosine = initial_feedback(rule)
    scale *= rule.decay / (rule.eta * rule.sigma**2)
    initial, mirrored, spread = 1.0, 0.0, 0.0  # B's parts: the initial B, W, and the variance of the noise
    for step in range(rule.warmup):
        rate = max(rule.decay, 1 / (step + 2))
        initial, mirrored = (1 - rate) * initial, (1 - rate) * mirrored + rate
        spread = (1 - rate) ** 2 * spread + rate**2
    first = initial * scale
    return mirrored + first * cosine, mirrored**2 + 2 * mirrored * first * cosine + first**2 + noise * spread


def mirror_share(training: TrainingState, rule: WeightMirror) -> float:
    """Return mirror mode's share of all operations of a run with ``rule``."""
    mirror = _mirror_flops(rule, training.layers, training.schedule)
    steps = training.steps_per_epoch * training.config.epochs
    return mirror / (mirror + training.flops_per_image * training.config.batch * steps)


def _mirror_flops(rule: WeightMirror, layers: Sequence[FeedbackLayer], schedule: Schedule) -> float:
    steps = len(schedule.turnover) - 1
    if rule.target_angle is None:
        clock = MirrorClock(1, 1, 1, 1, rule.interval, burst=rule.burst, burst_epochs=rule.burst_epochs)
        shown = rule.streams * (rule.warmup + clock.steps(schedule, steps))
        return shown * sum(mirror_step_flops(layer, rule.samples, rule.extent) for layer in layers)
    work = [
        chosen.work(layer, 1).flops * (chosen.warmup + schedule.turnover[steps] // chosen.turnover)
        for layer, chosen in zip(layers, layer_settings(rule.target_angle, layers, schedule), strict=True)
    ]
    return sum(work)


def affordable_angle(training: TrainingState, share: float) -> float | None:
    """Return the smallest target angle, in whole degrees, at which mirror mode takes at most this share of all
    operations; None if there is none."""
    for angle in range(1, 90):
        rule = WeightMirror(target_angle=float(angle))
        try:
            found = mirror_share(training, rule)
        except ConfigError:  # W turns too fast for this angle
            continue
        if found <= share:
            return float(angle)
    return None


def alignment_text(training: TrainingState, motions: Sequence[LayerMotion]) -> str:
    """Return the alignment to expect from a cell, as one line. ``kp`` gets ranges: its angle depends on the gradients,
    and they fall after the first steps, to an extent that these do not show."""
    rule = training.config.rule
    angles = forecast(training, motions)
    if angles is None:
        fixed = {
            "fa": "none: B is fixed, about 90° at initialization",
            "ss": "signs only: 30° to 51° at initialization",
        }
        return fixed.get(rule.name, "-")
    latest = forecast(training, with_smaller_gradients(training.config, motions)) if rule.name == "kp" else angles
    assert latest is not None
    first, half, last = (
        angle_range(float(np.median(angles[i])), float(np.median(latest[i]))) for i in (0, (len(angles) - 1) // 2, -1)
    )
    text = f"{first} before learning, {half} halfway, {last} at the end"
    if isinstance(rule, WeightMirror):
        if rule.target_angle is not None:
            text += f"; root mean square at most {_largest_root_mean_square(angles):.0f}°"
        text += f"; mirror mode {percent(mirror_share(training, rule))} of operations"
    return text


def _largest_root_mean_square(angles: Array) -> float:
    """Return the angle whose tangent is the root mean square of those of the layers, at the epoch where it is largest.
    ``target_angle`` bounds it."""
    tangents = np.tan(np.radians(angles))
    return float(np.degrees(np.arctan(np.sqrt(np.mean(tangents**2, axis=1)).max())))


def percent(share: float) -> str:
    """Return a share in whole percent, or ``< 1 %``."""
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"


def angle_range(smallest: float, largest: float) -> str:
    """Return a range of angles in whole degrees, or one angle if both are the same."""
    low, high = f"{smallest:.0f}°", f"{largest:.0f}°"
    return low if low == high else f"{low} to {high}"


def angle_table(training: TrainingState, cell: str, motions: Sequence[LayerMotion]) -> Table | None:
    """Return a table of the angle to expect, a row per layer and up to 13 epochs as columns; None without a theory.
    For ``kp``, it is the smallest angle: that with gradients that do not fall."""
    angles = forecast(training, motions)
    if angles is None:
        return None
    title = "smallest angle" if training.config.rule.name == "kp" else "angle"
    epochs = sorted({round(i * (len(angles) - 1) / (COLUMNS - 1)) for i in range(COLUMNS)})
    table = Table("after epoch", *map(str, epochs), box=None, pad_edge=False)
    table.title, table.title_justify, table.title_style = f"{cell}: {title} of B to W", "left", "none"
    for number, motion in enumerate(motions):
        table.add_row(motion.name, *(f"{angles[epoch][number]:.1f}°" for epoch in epochs))
    return table
