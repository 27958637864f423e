"""``nowt plan``: estimates what a study costs and how far its feedback weights can align."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nowt.config.placement import Placement
from nowt.core.formatting import counted
from nowt.data.datasets import DatasetSplits, open_data
from nowt.data.description import describe_data
from nowt.execution.preparation import data_facts, plan_run
from nowt.execution.scheduler import PlannedRun
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.study_file import change_remark
from nowt.studies.planning.seed_count import TargetGap, seed_count_lines
from nowt.studies.study import Cell, Study
from nowt.studies.superseded import describe, needs_redo, superseded_runs
from nowt.training.feasibility import check_feasible
from nowt.training.retention import keep_to_text, kept_epochs, max_checkpoints, with_retention
from nowt.training.schedule import remaining_difference
from nowt.training.state import TrainingState

PROBE_STEPS = 6  # timed after as many to warm up

MOST_LEFT = 0.2  # share of kp's initial |W − B| above which it does not align


def plan(study: Study, placement: Placement, target: TargetGap = TargetGap()) -> str:  # noqa: B008 (it is frozen)
    """Return the number of runs, the hours on this machine (each cell trains for a few steps), the disk space, the
    expected alignment, and the number of seeds.

    Raises ConfigError for a cell that cannot be trained, DataError if its data cannot be read.
    """
    placement, slots = with_retention(placement, study.keep, study.epochs), placement.slot_count
    table = Table(
        "cell", "epochs", "steps", "min per run", "GB per run", "expected alignment", box=None, pad_edge=False
    )
    minutes, notes, planned, datasets = 0.0, [], list[PlannedRun](), dict[str, None]()
    for cell in study.cells:
        data = open_data(cell.config.data, placement, cell.config.test)
        datasets |= dict.fromkeys(filter(None, [describe_data(cell.config.data, placement, data), data.duplicates]))
        training = TrainingState.create(cell.config, placement, data)
        check_feasible(cell.config, placement, data, training.model)
        facts = {**data_facts(data), "not_replaced": []}
        planned += [plan_run(cell.name, replace(cell.config, seed=seed), facts) for seed in study.seeds]
        steps = training.steps_per_epoch * cell.config.epochs
        each = _minutes(training, data)
        minutes += each * len(study.seeds)
        expected, note = expected_alignment(cell, training)
        notes += [note] if note else []
        disk = max_checkpoints(placement.keep, cell.config.epochs) * _bytes(training) / 1e9
        notes += _kept(cell, training, len(study.seeds))
        table.add_row(cell.name, str(cell.config.epochs), str(steps), _rounded(each, 1), _rounded(disk, 2), expected)
    runs = len(study.cells) * len(study.seeds)
    hours = minutes / min(slots, runs) / 60
    used = counted(min(slots, runs), "slot")
    head = f"study {study.key}: {counted(runs, 'run')}, {_duration(hours)} on {used} of this machine"
    store = Path(placement.store)
    changed = change_remark(store, study.name, study.key)
    notes += _repeated(store, study, planned)
    seeds = seed_count_lines(study, store, target)
    return "\n".join([head, *filter(None, [changed]), *datasets, "", _text(table), *notes, *seeds])


def _repeated(store: Path, study: Study, planned: Sequence[PlannedRun]) -> list[str]:
    """Return a line if runs of the study that are finished no longer count."""
    repeated = superseded_runs(store, study.name, planned)
    option = " with --redo" if needs_redo(repeated) else ""
    return [f"{describe(study.name, repeated)}; nowt ablate trains them again{option}"] if repeated else []


def expected_alignment(cell: Cell, training: TrainingState) -> tuple[str, str]:
    """Return the alignment that the cell's schedule allows, and a warning if kp has too little time."""
    rule = cell.config.rule
    if rule.learns_from == "gradient":
        left = remaining_difference(cell.config, training.steps_per_epoch)[-1]
        text = f"|W−B| falls to {100 * left:.1f} % of its initial value; {_angles(left)}"
        if left <= MOST_LEFT:
            return text, ""
        return text, (
            f"warning: {cell.name} will still have {100 * left:.0f} % of its |W−B| at the end, so kp cannot "
            "align: raise optim.weight_decay, optim.lr or epochs, for all rules the same way"
        )
    if isinstance(rule, WeightMirror):
        angles = sorted(sampling_angle(rule, layer.fan_in) for layer in training.layers)
        return f"B to W {angles[0]:.1f}° to {angles[-1]:.1f}°, plus its lag behind the changing W", ""
    fixed = {"fa": "none: B is fixed, about 90° at initialization", "ss": "signs only: 30° to 51° at initialization"}
    return fixed.get(rule.name, "-"), ""


def _angles(left: float) -> str:
    """Return, as text, the norms of W at which B is 45° and 10° from it.

    At initialization W and B are independent with the same norm, so |W−B| = √2 |W₀|. Later W−B is about orthogonal to
    W, and the angle is arctan(|W−B|/|W|).
    """
    norms = [(angle, math.sqrt(2) * left / math.tan(math.radians(angle))) for angle in (45, 10)]
    return ", ".join(f"{angle}° if |W| is {100 * share:.0f} % of its initial value" for angle, share in norms)


def sampling_angle(rule: WeightMirror, fan_in: int) -> float:
    """Return the angle in degrees that sampling leaves between B and W: arctan √((fan-in + 1)/N_eff), where N_eff is
    N (2 − λ)/λ."""
    if rule.noise == "idealised":
        return 0.0
    positions = rule.samples * max(rule.extent, 1) ** 2
    if rule.decay == 0:
        return math.degrees(math.atan(math.sqrt((fan_in + 1) / (positions * max(rule.warmup, 1)))))
    return math.degrees(math.atan(math.sqrt((fan_in + 1) * rule.decay / (positions * (2 - rule.decay)))))


def _minutes(training: TrainingState, data: DatasetSplits) -> float:
    """Return the minutes per run, from a few timed steps. Evaluating an image costs a third of training on it."""
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
    """Return a line if the study keeps more than the last checkpoint of each run."""
    keep = training.placement.keep
    if keep is None or keep == "last":
        return []
    count = len({*kept_epochs(keep, cell.config.epochs), cell.config.epochs})
    size = _rounded(count * seeds * _bytes(training) / 1e9, 2)
    return [f"{cell.name}: {count} checkpoints per run are kept ({keep_to_text(keep)}), {size} GB for all its runs"]


def _bytes(training: TrainingState) -> int:
    """Return the size of a checkpoint: weights, B, and the optimizer's buffers for those that it trains."""
    tensors: Sequence[int] = [p.numel() * p.element_size() for p in training.model.state_dict().values()]
    trained = sum(p.numel() * p.element_size() for g in training.optimizer.param_groups for p in g["params"])
    return int(sum(tensors) + trained * (2 if training.config.optim.name == "adamw" else 1))


def _rounded(value: float, digits: int) -> str:
    """Return the number rounded to this many digits. One that rounds to 0 is given as less than the smallest that does
    not."""
    return f"{value:.{digits}f}" if value >= 10.0**-digits else f"< {10.0**-digits:.{digits}f}"


def _duration(hours: float) -> str:
    if 60 * hours < 1:
        return "less than a minute"
    minutes = round(60 * hours)
    if minutes < 60:
        return f"about {counted(minutes, 'minute')}"
    return f"about {hours:.1f} hours"


def _text(table: Table) -> str:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
