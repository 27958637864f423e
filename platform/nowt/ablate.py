"""An ablation, from a study to its finished logs: plan its runs, run what is missing, keep the record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nowt.config import DataConfig, Placement, run_key
from nowt.ledger import Ledger, Planned, freeze, held
from nowt.log import RunLog
from nowt.progress import StudyProgress
from nowt.study import Cell, Study


@dataclass(frozen=True)
class Outcome:
    """How an ablation ended."""

    study: Study
    key: str
    finished: int
    diverged: int
    failed: tuple[str, ...]  # one line a run: cell, seed, the last line of its traceback
    interrupted: bool


def ablate(study: Study, placement: Placement, *, in_process: bool, say: Callable[[str], None]) -> Outcome:
    """Run every cell with every seed; run again, it does only what is missing.

    Raises ConfigError where another process runs this study, DataError where its pictures cannot be used.
    """
    store = Path(placement.store)
    plan = planned_runs(study, placement)
    with held(store, study.key):
        sheet, remark = freeze(store, study, plan)
        if remark:
            say(remark)
        certificates(store, study)
        return _run(study, sheet, plan, placement, in_process)


def planned_runs(study: Study, placement: Placement) -> tuple[Planned, ...]:
    """Every run of the study under its key; pictures are opened once for each data set the cells use."""
    from nowt.data import open_data

    prints: dict[tuple[DataConfig, bool], str] = {}
    plan = []
    for cell, seed, config in study.runs():
        what = (config.data, config.test)
        if what not in prints:
            prints[what] = open_data(config.data, placement, config.test).fingerprint
        plan.append(Planned(run_key(config, prints[what]), cell.name, seed, config))
    return tuple(plan)


def certificates(store: Path, study: Study) -> None:
    """Certify each of the study's rules once a store, so that every run's record can carry its certificate."""
    from nowt.certify import certificate_path, certify_into

    for rule in dict.fromkeys(cell.config.rule for cell in study.cells):
        if not certificate_path(store, rule).exists():
            certify_into(store, rule)


def quick(study: Study) -> Study:
    """The study shrunk to a few minutes: two epochs, few pictures, one seed; a study of its own by its key."""
    cells = tuple(Cell(cell.name, _quick(cell)) for cell in study.cells)
    return replace(study, name=f"{study.name}_quick", cells=cells, seeds=study.seeds[:1])


def _quick(cell: Cell) -> object:
    from nowt.train import quick as shrink

    return shrink(cell.config)


def _run(
    study: Study, sheet: dict[str, object], plan: tuple[Planned, ...], placement: Placement, in_process: bool
) -> Outcome:
    from nowt.record import Record, quietly

    store = Path(placement.store)
    progress = StudyProgress(plan)
    logs: dict[str, RunLog] = {}
    with quietly(Record.open, store, sheet) as record:

        def heard(planned: Planned, run: RunLog) -> None:
            logs[planned.key] = run
            record.update(run, planned.cell, planned.seed)
            progress.heard(planned, run)

        ledger = Ledger(store, plan, heard)
        with progress.bar:
            whole = _hands(ledger, placement, in_process)
    return Outcome(study, study.key, 0, 0, (), not whole)
