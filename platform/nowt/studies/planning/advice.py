"""Advice of ``nowt plan`` for a cell whose B will not align: settings that align it, and what they cost."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from nowt.config.run_config import OptimConfig, RunConfig
from nowt.rules.mirror_control import replaced_by_target
from nowt.rules.schedule import Schedule
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.planning.alignment import affordable_angle, angle_range, mirror_share
from nowt.studies.planning.forecast import LayerMotion, angles_of_equal_updates, norms, with_smaller_gradients
from nowt.studies.study import Study
from nowt.training.schedule import remaining_difference, turnover_schedule
from nowt.training.state import TrainingState

ALIGNED = 20.0  # median angle in degrees over layers below which kp counts as aligned at the end of a run

MOST_STEPS = 1000  # of a run that is computed to find a setting

# W counts as kept if its median norm at the end is at least half of the initial one, or two thirds of what it would be
# without the change.
KEPT_OF_INITIAL, KEPT_OF_PLANNED = 0.5, 2 / 3


@dataclass(frozen=True)
class _End:
    """Medians over layers at the end of a run under ``kp``, with and without smaller gradients.

    Attributes:
        angle: Angle between B and W in degrees.
        norm: |W| relative to its initial value.
        largest_angle: The angle with smaller gradients.
        smallest_norm: The norm with smaller gradients.
    """

    angle: float
    norm: float
    largest_angle: float
    smallest_norm: float

    @property
    def angles(self) -> str:
        return angle_range(self.angle, self.largest_angle)

    def keeps_weight(self, planned: "_End") -> bool:
        """Return whether W is kept, with and without smaller gradients."""
        pairs = ((self.norm, planned.norm), (self.smallest_norm, planned.smallest_norm))
        return all(then >= min(KEPT_OF_INITIAL, KEPT_OF_PLANNED * now) for then, now in pairs)

    @property
    def norms(self) -> str:
        low, high = f"{100 * self.smallest_norm:.0f}", f"{100 * self.norm:.0f}"
        return f"{high} %" if low == high else f"{low} to {high} %"


def alignment_notes(
    study: Study, cell: str, training: TrainingState, motions: Sequence[LayerMotion], mirror_share: float
) -> list[str]:
    """Return what to change in a cell of ``kp`` or ``wm``, if anything."""
    found = mirror_advice(cell, training, mirror_share)
    if training.config.rule.name == "kp":
        found = kolen_pollack_advice(study, cell, training, motions)
    return [found] if found else []


def kolen_pollack_advice(study: Study, cell: str, training: TrainingState, motions: Sequence[LayerMotion]) -> str:
    """Return a warning if ``kp`` will not align, with a setting that aligns it even if gradients fall; else an empty
    string."""
    now = _now(training, motions)
    if now.angle <= ALIGNED:
        return ""
    warning = f"warning: {cell}: at the end the median angle of kp will be about {now.angles}"
    decays = {each.config.optim.weight_decay for each in study.cells if each.config.rule.name == "kp"}
    if len(decays) > 1:
        return f"{warning}; this study varies optim.weight_decay, so this may be what it compares"
    found = _aligning(training, motions, now)
    if found is None:
        return (
            f"{warning}. No optim.weight_decay between a quarter and 30 times its value, with up to 8 times as many "
            "epochs, is sure to align kp: optim.lr is too low"
        )
    changed, then = found
    return (
        f"{warning}. With {_difference(training.config, changed)} it would be {then.angles}, and |W| would end at "
        f"{then.norms} of its initial value ({now.norms} now). Change it for all rules, since it also changes "
        "backprop's error"
    )


def _aligning(training: TrainingState, motions: Sequence[LayerMotion], now: _End) -> tuple[RunConfig, _End] | None:
    """Return the cheapest config that aligns ``kp`` and keeps W; without one, that which aligns it with the largest W;
    None if nothing aligns it."""
    best: tuple[RunConfig, _End] | None = None
    for changed in _candidates(training.config):
        then = _changed(changed, training.steps_per_epoch, motions)
        if then.largest_angle > ALIGNED:
            continue
        if then.keeps_weight(now):
            return changed, then
        if best is None or then.smallest_norm > best[1].smallest_norm:
            best = changed, then
    return best


def _candidates(config: RunConfig) -> Iterator[RunConfig]:
    """Yield changed configs, the cheapest first: more weight decay at the same number of epochs, then more epochs."""
    base = config.optim.weight_decay or 1e-4
    for epochs in sorted({math.ceil(config.epochs * times) for times in (1, 1.5, 2, 3, 4, 6, 8)}):
        for decay in (1, 2, 3, 5, 10, 20, 30, 0.5, 0.25):
            optim = replace(
                config.optim,
                weight_decay=float(f"{base * decay:.2g}"),
                warmup=config.optim.warmup * epochs / config.epochs,
                milestones=tuple(m * epochs / config.epochs for m in config.optim.milestones),
            )
            yield replace(config, optim=optim, epochs=epochs)


def _difference(config: RunConfig, changed: RunConfig) -> str:
    """Return every setting that differs, so that the advice does what it says when it is followed."""
    times = f"epochs {changed.epochs} ({changed.epochs / config.epochs:.2g} times as many)"
    parts = [] if changed.epochs == config.epochs else [times]
    for item in fields(OptimConfig):
        value = getattr(changed.optim, item.name)
        if value != getattr(config.optim, item.name):
            shown = ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else f"{value:g}"
            parts.append(f"optim.{item.name} {shown}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _now(training: TrainingState, motions: Sequence[LayerMotion]) -> _End:
    """Return what to expect at the end of the planned run, as in the table."""
    left = remaining_difference(training.config, training.steps_per_epoch)[-1]
    return _at_the_end(training.config, training.schedule, left, motions)


def _changed(config: RunConfig, per_epoch: int, motions: Sequence[LayerMotion]) -> _End:
    """Return what to expect at the end of a run with another config.

    A long run is computed in fewer, larger steps, each of which forgets and moves as much as those that it stands for.
    """
    computed = max(1, min(per_epoch, MOST_STEPS // config.epochs))
    size = per_epoch / computed
    schedule = Schedule(computed, [size * total for total in turnover_schedule(config, computed).turnover])
    larger = [replace(motion, gradient=size**0.5 * motion.gradient) for motion in motions]
    return _at_the_end(config, schedule, math.exp(-schedule.turnover[-1]), larger)


def _at_the_end(config: RunConfig, schedule: Schedule, left: float, motions: Sequence[LayerMotion]) -> _End:
    """Return medians with the gradients of the first steps, and with smaller ones. ``left``: the share of W − B that
    remains."""
    medians: list[float] = []
    for layers in (motions, with_smaller_gradients(config, motions)):
        squares = norms(config, schedule, layers)[-1]
        angles = angles_of_equal_updates(config.rule, left, squares)
        medians += [float(np.median(angles)), float(np.median(np.sqrt(squares)))]
    return _End(*medians)


def mirror_advice(cell: str, training: TrainingState, most: float) -> str:
    """Return a line if mirror mode takes more than the share ``most`` of all operations, with the angle that this share
    reaches; else an empty string."""
    rule = training.config.rule
    if not isinstance(rule, WeightMirror) or (share := mirror_share(training, rule)) <= most:
        return ""
    return (
        f"{cell}: mirror mode takes {100 * share:.0f} % of all operations; {_affordable(training, rule, most)} "
        "(--mirror-share)"
    )


def _affordable(training: TrainingState, rule: WeightMirror, most: float) -> str:
    """Return which target angle the share ``most`` of all operations reaches."""
    if training.config.optim.weight_decay == 0:
        return "a rule.target_angle for a given share needs optim.weight_decay above 0"
    angle = affordable_angle(training, most)
    if angle is None:
        return f"no rule.target_angle takes at most {100 * most:g} %"
    replaced = [f"rule.{name}" for name in replaced_by_target(rule)]
    change = f"replace {', '.join(replaced)} by" if replaced else "use"
    return f"for at most {100 * most:g} %, {change} rule.target_angle {angle:g}"
