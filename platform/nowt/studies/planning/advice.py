"""Advice of ``nowt plan`` for a cell whose B will not align: settings that align it, and what they cost."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from nowt.config.run_config import OptimConfig, RunConfig
from nowt.rules.mirror_control import replaced_by_target
from nowt.rules.schedule import Schedule
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.planning.alignment import affordable_angle, mirror_share
from nowt.studies.planning.forecast import LayerMotion, angles_of_equal_updates, norms
from nowt.studies.study import Study
from nowt.training.schedule import turnover_schedule
from nowt.training.state import TrainingState

ALIGNED = 20.0  # median angle in degrees over layers below which kp counts as aligned at the end of a run

MOST_STEPS = 1000  # of a run that is computed to find a setting

LEAST_NORM = 0.5  # median |W| at the end, relative to its initial value, below which weight decay impairs learning


def alignment_notes(
    study: Study, cell: str, training: TrainingState, motions: Sequence[LayerMotion], mirror_share: float
) -> list[str]:
    """Return what to change in a cell of ``kp`` or ``wm``, if anything."""
    found = mirror_advice(cell, training, mirror_share)
    if training.config.rule.name == "kp":
        found = kolen_pollack_advice(study, cell, training, motions)
    return [found] if found else []


def kolen_pollack_advice(study: Study, cell: str, training: TrainingState, motions: Sequence[LayerMotion]) -> str:
    """Return a warning if ``kp`` will not align, with settings that align it; else an empty string."""
    config, per_epoch = training.config, training.steps_per_epoch
    angle, norm = _at_the_end(config, per_epoch, motions)
    if angle <= ALIGNED:
        return ""
    warning = f"warning: {cell}: at the end the median angle of kp will be about {angle:.0f}°"
    decays = {each.config.optim.weight_decay for each in study.cells if each.config.rule.name == "kp"}
    if len(decays) > 1:
        return f"{warning}; this study varies optim.weight_decay, so this may be what it compares"
    for changed in _candidates(config):
        better, kept = _at_the_end(changed, per_epoch, motions)
        if better <= ALIGNED and kept >= min(LEAST_NORM, norm):
            return (
                f"{warning}. With {_difference(config, changed)} it would be {better:.0f}°, and |W| would end at "
                f"{100 * kept:.0f} % of its initial value ({100 * norm:.0f} % now). Change it for all rules, since it "
                "also changes backprop's error"
            )
    return (
        f"{warning}. No change of optim.weight_decay up to 30 times its value, nor of epochs up to 8 times, aligns kp "
        "and keeps |W|"
    )


def _candidates(config: RunConfig) -> Iterator[RunConfig]:
    """Yield changed configs, the cheapest first: more weight decay at the same number of epochs, then more epochs."""
    base = config.optim.weight_decay or 1e-4
    for epochs in sorted({math.ceil(config.epochs * times) for times in (1, 1.5, 2, 3, 4, 6, 8)}):
        for decay in (1, 2, 3, 5, 10, 20, 30):
            optim = replace(
                config.optim,
                weight_decay=float(f"{base * decay:.2g}"),
                warmup=config.optim.warmup * epochs / config.epochs,
                milestones=tuple(m * epochs / config.epochs for m in config.optim.milestones),
            )
            yield replace(config, optim=optim, epochs=epochs)


def _difference(config: RunConfig, changed: RunConfig) -> str:
    """Return every setting that differs, so that the advice does what it says when it is followed."""
    parts = [] if changed.epochs == config.epochs else [f"epochs {changed.epochs}"]
    for item in fields(OptimConfig):
        value = getattr(changed.optim, item.name)
        if value != getattr(config.optim, item.name):
            shown = ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else f"{value:g}"
            parts.append(f"optim.{item.name} {shown}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _at_the_end(config: RunConfig, per_epoch: int, motions: Sequence[LayerMotion]) -> tuple[float, float]:
    """Return the medians over layers of kp's angle in degrees, and of |W| relative to its initial value.

    A long run is computed in fewer, larger steps, each of which forgets and moves as much as those that it stands for.
    """
    computed = max(1, min(per_epoch, MOST_STEPS // config.epochs))
    size = per_epoch / computed
    schedule = Schedule(computed, [size * total for total in turnover_schedule(config, computed).turnover])
    larger = [replace(motion, gradient=size**0.5 * motion.gradient) for motion in motions]
    squares = norms(config, schedule, larger)[-1]
    angles = angles_of_equal_updates(config.rule, math.exp(-schedule.turnover[-1]), squares)
    return float(np.median(angles)), float(np.median(np.sqrt(squares)))


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
    instead = f" in place of {', '.join(replaced)}" if replaced else ""
    return f"rule.target_angle {angle:g}{instead} takes at most {100 * most:g} %"
