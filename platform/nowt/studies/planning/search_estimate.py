"""``nowt plan`` for a search: its trials, and the runs of its best settings."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from nowt.config.placement import Placement
from nowt.core.formatting import counted
from nowt.data.datasets import RunData
from nowt.data.description import describe_data
from nowt.execution.slots import find_slots
from nowt.studies.planning.advice import mirror_advice
from nowt.studies.planning.alignment import alignment_text
from nowt.studies.planning.estimate import duration, table_text
from nowt.studies.planning.probe import minutes_per_run, probe_training, training_seconds
from nowt.studies.planning.seed_count import TargetGap, seed_count_lines
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.confirmation import Confirm
from nowt.studies.search.space import Budget, SearchSpace
from nowt.studies.study import Cell, Study
from nowt.training.feasibility import check_feasible
from nowt.training.state import TrainingState


def plan_search(space: SearchSpace, placement: Placement, target: TargetGap, mirror_share: float = 0.25) -> str:
    """Return the number of trials and of runs of the best settings, the hours on this machine (each cell trains for a
    few steps with its base config), the alignment to expect from the base config, and the number of seeds.

    ``mirror_share`` is the share of all operations above which a line says what angle that share reaches.

    Raises ConfigError for a cell that cannot be trained, DataError if its data cannot be read.
    """
    cells = [_plan_cell(space, cell, placement, mirror_share) for cell in space.cells]
    trials, chosen, picked = (sum(counts) for counts in zip(*(cell.runs for cell in cells), strict=True))
    total = trials + chosen + picked
    slots = find_slots(placement, total)
    hours = sum(cell.minutes for cell in cells) / slots.count / 60
    less = "" if space.stopping.kind == "none" else ", less if trials are stopped early"
    used = f"{counted(slots.count, 'slot')} of {slots.place}"
    head = f"search {space.key}: {counted(total, 'run')}, {duration(hours)} on {used}"
    settings = max(cell.trials for cell in cells)
    parts = [f"{head}{less}", *_runs(space, settings, trials, chosen, picked)]
    data = dict.fromkeys(line for cell in cells for line in cell.data)
    notes = [cell.note for cell in cells if cell.note]
    table = table_text(_table(cells))
    return "\n".join([*parts, *data, "", table, *notes, *_seeds(space, Path(placement.store), target)])


@dataclass(frozen=True)
class _CellPlan:
    """What ``plan_search`` says of a cell.

    Attributes:
        name: Its name.
        epochs: Of a run.
        runs: Trials that its budget buys, runs that choose its pick, and runs of the pick.
        per_run: Minutes of a run with the base config.
        alignment: What the base config lets expect.
        note: A line on the cost of mirror mode, if it is high.
        data: What is said of its data set.
    """

    name: str
    epochs: int
    runs: tuple[int, int, int]
    per_run: float
    alignment: str
    note: str
    data: list[str]

    @property
    def trials(self) -> int:
        """Number of trials."""
        return self.runs[0]

    @property
    def minutes(self) -> float:
        """Minutes of its trials and of the runs of its best settings."""
        return self.per_run * sum(self.runs)


def _plan_cell(space: SearchSpace, cell: SearchCell, placement: Placement, mirror_share: float) -> _CellPlan:
    config = replace(cell.config, seed=space.run_seed)
    data = RunData.of(config).open(placement)
    training = TrainingState.create(config, placement, data)
    check_feasible(config, placement, data, training.model)
    probe = probe_training(training)
    seconds = probe.seconds
    per_run = minutes_per_run(training, data, seconds)
    trials = _trials(space.budget, training, seconds)
    chosen, picked = (0, 0) if space.confirm is None else space.confirm.runs(1, trials)
    lines = [line for line in (describe_data(cell.config.data, placement, data), data.duplicates) if line]
    return _CellPlan(
        name=cell.name,
        epochs=cell.config.epochs,
        runs=(trials, chosen, picked),
        per_run=per_run,
        alignment=alignment_text(training, probe.motions),
        note=mirror_advice(cell.name, training, mirror_share),
        data=lines,
    )


def _trials(budget: Budget, training: TrainingState, seconds: float) -> int:
    """Return the number of complete trials that the budget of a cell buys, at the cost of the steps that ``training``
    has done."""
    if budget.unit == "trials":
        return int(budget.amount)
    if budget.unit == "seconds":
        return math.ceil(budget.amount / training_seconds(training, seconds))
    flops = training.flops + training.rule_cost.settle()
    per_step = {
        "presentations": (training.presentations + training.mirror_presentations) / training.step,
        "flops": flops / training.step,
    }
    cost = per_step[budget.unit] * training.steps_per_epoch * training.config.epochs
    return math.ceil(budget.amount / cost)


def _runs(space: SearchSpace, existing: int, trials: int, chosen: int, picked: int) -> list[str]:
    """Return a line for each kind of runs: trials, those that choose the picks, and those of the picks. ``existing`` is
    the largest number of settings of a cell."""
    about = "" if space.budget.unit == "trials" else "about "
    lines = [f"trials: {about}{trials}, within {space.budget.amount:,g} {space.budget.unit} per cell"]
    how = space.confirm
    if how is None:
        return [*lines, "no runs of the best settings: the space states no confirm=Confirm(...)"]
    if chosen:
        best = counted(min(how.settings, existing), "setting")
        stated = f" (of {how.settings} that the space states)" if how.settings > existing else ""
        seeds = f"the best {best} of each cell{stated} on {counted(how.seeds, 'new seed')}"
        lines.append(f"confirmation: {counted(chosen, 'run')}, {seeds}, scored on validation images")
    return [*lines, f"picks: {counted(picked, 'run')}, {_picks(how)}, scored on test images"]


def _picks(how: Confirm) -> str:
    if how.pick_seeds is not None:
        return f"one setting of each cell on {counted(how.pick_seeds, 'seed')} that chose nothing"
    same = "new seed" if how.settings == 1 else "seed of the confirmation"
    return f"one setting of each cell on {counted(how.seeds, same)}"


def _table(cells: list[_CellPlan]) -> Table:
    heads = ("cell", "epochs", "trials", "min per run", "median angle of B to W with the base settings")
    table = Table(*heads, box=None, pad_edge=False)
    for cell in cells:
        minutes = f"{cell.per_run:.1f}" if cell.per_run >= 0.1 else "< 0.1"
        table.add_row(cell.name, str(cell.epochs), str(cell.trials), minutes, cell.alignment)
    return table


def _seeds(space: SearchSpace, store: Path, target: TargetGap) -> list[str]:
    """Return what the seeds of the picks can detect, or how many seeds a gap needs."""
    if space.confirm is None and target.gap is None:
        return []
    seeds = 1 if space.confirm is None else space.confirm.pick_seeds or space.confirm.seeds
    cells = tuple(Cell(cell.name, cell.config) for cell in space.cells)
    picks = Study(f"{space.name}_picks", space.question, cells, tuple(range(seeds)), space.baseline, claim=space.claim)
    return ["", *seed_count_lines(picks, store, target)]
