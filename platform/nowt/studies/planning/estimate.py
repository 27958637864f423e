"""``nowt plan``: before anything runs, what a study costs and how far its feedback can align."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nowt.config.placement import Placement
from nowt.data.datasets import DatasetSplits, open_data
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.planning.seed_count import TargetGap, seeds_lines
from nowt.studies.study import Cell, Study
from nowt.training.retention import keep_to_text, kept_epochs, max_checkpoints, with_retention
from nowt.training.schedule import remaining_difference
from nowt.training.state import TrainingState

PROBE_STEPS = 6  # timed after as many to warm up

TOO_LITTLE = 0.2  # share of kp's |W − B| that should not be left at the end


def plan(study: Study, placement: Placement, sought: TargetGap = TargetGap()) -> str:  # noqa: B008 (it is frozen)
    """Runs, hours on this machine (from a short probe of each cell), disk, the alignment to expect, and seeds."""
    placement, slots = with_retention(placement, study.keep, study.epochs), placement.concurrent_runs
    table = Table("cell", "epochs", "steps", "min a run", "GB a run", "alignment to expect", box=None, pad_edge=False)
    minutes, notes = 0.0, []
    for cell in study.cells:
        data = open_data(cell.config.data, placement, cell.config.test)
        training = TrainingState.create(cell.config, placement, data)
        steps = training.steps_per_epoch * cell.config.epochs
        each = _minutes(training, data)
        minutes += each * len(study.seeds)
        expected, note = expectation(cell, training, steps)
        notes += [note] if note else []
        disk = max_checkpoints(placement.keep, cell.config.epochs) * _bytes(training) / 1e9
        notes += _kept(cell, training, len(study.seeds))
        table.add_row(cell.name, str(cell.config.epochs), str(steps), _least(each, 1), _least(disk, 2), expected)
    runs = len(study.cells) * len(study.seeds)
    hours = minutes / min(slots, runs) / 60
    head = f"study {study.key}: {runs} runs, {_spoken(hours)} on {min(slots, runs)} slots of this machine"
    seeds = seeds_lines(study, Path(placement.store), sought)
    return "\n".join([head, "", _text(table), *notes, *seeds])


def expectation(cell: Cell, training: TrainingState, steps: int) -> tuple[str, str]:
    """What alignment the cell's schedule allows, and a warning where it is too little."""
    rule = cell.config.rule
    if rule.learns_from == "gradient":
        left = remaining_difference(cell.config, training.steps_per_epoch)[-1]
        text = f"|W−B| falls to {100 * left:.1f} % of its start; {_angles(left)}"
        if left <= TOO_LITTLE:
            return text, ""
        return text, (
            f"warning: {cell.name} will still have {100 * left:.0f} % of its |W−B| at the end: raise "
            "optim.weight_decay, optim.lr or epochs, the same for all rules, or kp has no time to align"
        )
    if isinstance(rule, WeightMirror):
        angles = sorted(sampling_angle(rule, layer.fan_in) for layer in training.layers)
        return f"B to W {angles[0]:.1f}° to {angles[-1]:.1f}°, plus the lag behind a moving W", ""
    fixed = {"fa": "none: B is fixed, about 90° at the start", "ss": "signs alone: 30° to 51° at the start"}
    return fixed.get(rule.name, "-"), ""


def _angles(left: float) -> str:
    """What is left of W − B, set against W: decay takes W's own start alike, so only what W learns turns it.

    At the start W and B are independent and as large, |W−B| = √2 |W₀|; later W−B is about orthogonal to W, and the
    angle is arctan(|W−B|/|W|).
    """
    wanted = [(angle, math.sqrt(2) * left / math.tan(math.radians(angle))) for angle in (45, 10)]
    return ", ".join(f"{angle}° where |W| is {100 * share:.0f} % of its start" for angle, share in wanted)


def sampling_angle(rule: WeightMirror, fan_in: int) -> float:
    """Degrees that sampling alone leaves between B and W: arctan √((fan-in + 1)/N_eff), N_eff = N (2 − λ)/λ."""
    if rule.noise == "idealised":
        return 0.0
    positions = rule.samples * max(rule.extent, 1) ** 2
    if rule.decay == 0:
        return math.degrees(math.atan(math.sqrt((fan_in + 1) / (positions * max(rule.warmup, 1)))))
    return math.degrees(math.atan(math.sqrt((fan_in + 1) * rule.decay / (positions * (2 - rule.decay)))))


def _minutes(training: TrainingState, data: DatasetSplits) -> float:
    """Minutes of one run: a few timed steps, scaled; validation and test cost a third of a training step a picture."""
    import torch

    torch.set_num_threads(training.placement.threads)
    batches = training.remaining_batches()
    begun, timed = time.perf_counter(), 0
    for i, (x, y) in enumerate(batches):
        if i == PROBE_STEPS:
            begun = time.perf_counter()
        training.train_step(x, y)
        timed = i + 1 - PROBE_STEPS
        if timed == PROBE_STEPS:
            break
    a_step = (time.perf_counter() - begun) / max(timed, 1)
    scored = len(data.val) + (len(data.test) if data.test is not None else 0)
    steps = training.steps_per_epoch + scored / training.config.batch / 3
    return a_step * steps * training.config.epochs / 60


def _kept(cell: Cell, training: TrainingState, seeds: int) -> list[str]:
    """A line where more than each run's last checkpoint is kept."""
    keep = training.placement.keep
    if keep is None or keep == "last":
        return []
    count = len({*kept_epochs(keep, cell.config.epochs), cell.config.epochs})
    size = _least(count * seeds * _bytes(training) / 1e9, 2)
    return [f"{cell.name}: {count} checkpoints a run are kept ({keep_to_text(keep)}), {size} GB when its runs are done"]


def _bytes(training: TrainingState) -> int:
    """A checkpoint's size: weights, B, and one momentum buffer for each that the optimiser trains."""
    tensors: Sequence[int] = [p.numel() * p.element_size() for p in training.model.state_dict().values()]
    trained = sum(p.numel() * p.element_size() for g in training.optimizer.param_groups for p in g["params"])
    return int(sum(tensors) + trained * (2 if training.config.optim.name == "adamw" else 1))


def _least(value: float, digits: int) -> str:
    """The number with so many digits; one that would be 0 as less than the smallest that is not."""
    return f"{value:.{digits}f}" if value >= 10.0**-digits else f"< {10.0**-digits:.{digits}f}"


def _spoken(hours: float) -> str:
    if 60 * hours < 1:
        return "less than a minute"
    minutes = round(60 * hours)
    if minutes < 60:
        return f"about {minutes} minute{'s' * (minutes > 1)}"
    return f"about {hours:.1f} hours"


def _text(table: Table) -> str:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
