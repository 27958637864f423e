"""``nowt plan``: estimates what a study costs and how far its feedback weights can align."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nowt.config.placement import Placement
from nowt.core.formatting import counted
from nowt.data.datasets import RunData
from nowt.data.description import describe_data
from nowt.execution.preparation import DataFacts, data_facts, plan_run
from nowt.execution.scheduler import PlannedRun
from nowt.execution.slots import find_slots
from nowt.store.study_file import change_remark
from nowt.studies.planning.advice import alignment_notes
from nowt.studies.planning.alignment import alignment_text, angle_table
from nowt.studies.planning.probe import minutes_per_run, probe_training
from nowt.studies.planning.seed_count import TargetGap, seed_count_lines
from nowt.studies.study import Cell, Study
from nowt.studies.superseded import describe, describe_others, needs_redo, superseded_runs, with_earlier_seeds
from nowt.training.feasibility import check_feasible
from nowt.training.retention import keep_to_text, kept_epochs, max_checkpoints, with_retention
from nowt.training.state import TrainingState


def plan(
    study: Study,
    placement: Placement,
    target: TargetGap = TargetGap(),  # noqa: B008 (it is frozen)
    mirror_share: float = 0.25,
) -> str:
    """Return the number of runs, the hours on this machine (each cell trains for a few steps), the disk space, the
    expected alignment, and the number of seeds.

    ``mirror_share`` is the share of all operations above which a line says what angle that share reaches. Raises
    ConfigError for a cell that cannot be trained, DataError if its data cannot be read.
    """
    placement = with_retention(placement, study.keep, study.epochs)
    facts = DataFacts(placement)
    cells = [_plan_cell(study, cell, facts, mirror_share) for cell in study.cells]
    runs = len(study.cells) * len(study.seeds)
    slots = find_slots(placement, runs)
    hours = sum(cell.minutes for cell in cells) / slots.count / 60
    used = f"{counted(slots.count, 'slot')} of {slots.place}"
    head = f"study {study.key}: {counted(runs, 'run')}, {duration(hours)} on {used}"
    store = Path(placement.store)
    changed = change_remark(store, study.name, study.key)
    angles = [line for cell in cells if cell.angles for line in ("", table_text(cell.angles))]
    notes = [note for cell in cells for note in cell.notes] + _repeated(study, store, cells)
    gap = [""] if angles else []  # between the last table and the notes
    seeds = seed_count_lines(study, store, target)
    top = [head, *filter(None, [changed]), *dict.fromkeys(line for cell in cells for line in cell.data)]
    return "\n".join([*top, "", table_text(_cell_table(cells)), *angles, *gap, *notes, *seeds])


@dataclass(frozen=True)
class _CellPlan:
    """What ``plan`` says of a cell.

    Attributes:
        row: Its row in the table of cells.
        minutes: Of all its runs.
        runs: Its planned runs, and those with the seeds of earlier commands.
        angles: The angles to expect, by layer and epoch; None without a theory.
        notes: Warnings, and checkpoints that are kept.
        data: What is said of its data set.
    """

    row: tuple[str, ...]
    minutes: float
    runs: list[PlannedRun]
    angles: Table | None
    notes: list[str]
    data: list[str]


def _plan_cell(study: Study, cell: Cell, facts: DataFacts, mirror_share: float) -> _CellPlan:
    placement, data = facts.placement, RunData.of(cell.config).open(facts.placement)
    facts.add(cell.config, data_facts(data))
    training = TrainingState.create(cell.config, placement, data)
    check_feasible(cell.config, placement, data, training.model)
    seeds = with_earlier_seeds(study, Path(placement.store)).seeds
    configs = [replace(cell.config, seed=seed) for seed in seeds]
    probe = probe_training(training)
    minutes = minutes_per_run(training, data, probe.seconds)
    notes = alignment_notes(study, cell.name, training, probe.motions, mirror_share)
    return _CellPlan(
        row=_row(cell, training, minutes, alignment_text(training, probe.motions)),
        minutes=minutes * len(study.seeds),
        runs=[plan_run(cell.name, config, {**facts.of(config), "not_replaced": []}) for config in configs],
        angles=angle_table(training, cell.name, probe.motions),
        notes=notes + _kept(cell, training, len(study.seeds)),
        data=[line for line in (describe_data(cell.config.data, placement, data), data.duplicates) if line],
    )


def _row(cell: Cell, training: TrainingState, minutes: float, alignment: str) -> tuple[str, ...]:
    epochs = cell.config.epochs
    disk = max_checkpoints(training.placement.keep, epochs) * _bytes(training) / 1e9
    steps = training.steps_per_epoch * epochs
    return cell.name, str(epochs), str(steps), _rounded(minutes, 1), _rounded(disk, 2), alignment


def _cell_table(cells: Sequence[_CellPlan]) -> Table:
    heads = ("cell", "epochs", "steps", "min per run", "GB per run", "median angle of B to W")
    table = Table(*heads, box=None, pad_edge=False)
    for cell in cells:
        table.add_row(*cell.row)
    return table


def _repeated(study: Study, store: Path, cells: Sequence[_CellPlan]) -> list[str]:
    """Return a line if finished runs will be trained again, and one if some with other seeds no longer count."""
    runs = [run for cell in cells for run in cell.runs]
    repeated = superseded_runs(store, study.name, [run for run in runs if run.seed in study.seeds])
    option = " with --redo" if needs_redo(repeated) else ""
    lines = [f"{describe(study.name, repeated)}; nowt ablate trains them again{option}"] if repeated else []
    others = describe_others(study, store, [run for run in runs if run.seed not in study.seeds])
    return [*lines, others] if others else lines


def _kept(cell: Cell, training: TrainingState, seeds: int) -> list[str]:
    """Return a line if the study keeps more than the last checkpoint of each run."""
    keep = training.placement.keep
    if keep is None or keep == "last":
        return []
    count = len({*kept_epochs(keep, cell.config.epochs), cell.config.epochs})
    size = _rounded(count * seeds * _bytes(training) / 1e9, 2)
    kept = f"{counted(count, 'checkpoint')} per run {'is' if count == 1 else 'are'} kept"
    return [f"{cell.name}: {kept} ({keep_to_text(keep)}), {size} GB for all its runs"]


def _bytes(training: TrainingState) -> int:
    """Return the size of a checkpoint: weights, B, and the optimizer's buffers for those that it trains."""
    tensors: Sequence[int] = [p.numel() * p.element_size() for p in training.model.state_dict().values()]
    trained = sum(p.numel() * p.element_size() for g in training.optimizer.param_groups for p in g["params"])
    return int(sum(tensors) + trained * (2 if training.config.optim.name == "adamw" else 1))


def _rounded(value: float, digits: int) -> str:
    """Return the number rounded to this many digits. One that rounds to 0 is given as less than the smallest that does
    not."""
    return f"{value:.{digits}f}" if value >= 10.0**-digits else f"< {10.0**-digits:.{digits}f}"


def duration(hours: float) -> str:
    """Return a number of hours in words."""
    if 60 * hours < 1:
        return "less than a minute"
    minutes = round(60 * hours)
    if minutes < 60:
        return f"about {counted(minutes, 'minute')}"
    return f"about {hours:.1f} hours"


def table_text(table: Table) -> str:
    """Return a table as text."""
    console = Console(width=140, markup=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()
