"""An ablation, from a study to its finished logs: plan its runs, run what is missing, keep the record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig, ModelConfig
from nowt.execution.driver import PlannedRun
from nowt.execution.preparation import certificates, gone, pictures_of, plan_run, remarks
from nowt.execution.progress import StudyProgress
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions, work
from nowt.store.locks import study_lock
from nowt.store.records import RunLog
from nowt.store.study_file import ListedRun, StudyFile, write_study_file
from nowt.studies.study import Cell, Study, study_to_json
from nowt.training.retention import limit_keep, with_retention


@dataclass(frozen=True)
class Outcome:
    """How an ablation ended."""

    study: Study
    planned: int
    finished: int
    diverged: int
    failed: tuple[str, ...]  # cell, seed and key of each
    interrupted: bool
    capped: str = ""  # the cap that stopped it, in words

    def summary(self) -> str:
        """One line; what to do where runs failed."""
        text = f"study {self.study.key}: {self.finished} of {self.planned} runs finished"
        text += f", {self.diverged} diverged" if self.diverged else ""
        if self.failed:
            text += f", {len(self.failed)} failed: {', '.join(self.failed)}; "
            text += "nowt show RUN says why, the same command tries again"
        if self.capped:
            left = self.planned - self.finished - self.diverged - len(self.failed)
            text += f"; stopped at its cap of {self.capped}, {left} runs left: with a larger cap it goes on"
        return text


def ablate(study: Study, how: ExecutionOptions, say: Callable[[str], None]) -> Outcome:
    """Run every cell with every seed; run again, it does only what is missing.

    Raises ConfigError where another process runs this study, DataError where its pictures cannot be used.
    """
    store = Path(how.placement.store)
    how = replace(how, placement=with_retention(how.placement, study.keep, study.epochs))
    plan = planned_runs(study, how.placement)
    with study_lock(store, study.key):
        runs = [ListedRun(planned.key, planned.cell, planned.seed) for planned in plan]
        study_file, remark = write_study_file(store, study.key, study_to_json(study), runs)
        if remark:
            say(remark)
        missed = gone(store, [planned.key for planned in plan], how.placement.keep, how.placement.checkpoints)
        for line in (*remarks(plan), missed):
            if line:
                say(line)
        certificates(store, [cell.config.rule for cell in study.cells], say)
        return _run(study, study_file, plan, how)


def planned_runs(study: Study, placement: Placement) -> tuple[PlannedRun, ...]:
    """Every run of the study under its key; pictures are opened once for each data set the cells use.

    Raises ConfigError and DataError for a cell that could not start.
    """
    from nowt.training.feasibility import sizes

    opened: dict[tuple[DataConfig, ModelConfig, bool, int, int], dict[str, Any]] = {}
    plan = []
    for cell, _, config in study.runs():
        sizes(config, placement.workers)
        what = (config.data, config.model, config.test, config.batch, config.probe.samples)
        if what not in opened:
            opened[what] = pictures_of(config, placement)
        plan.append(plan_run(cell.name, config, opened[what]))
    return tuple(plan)


def quick(study: Study) -> Study:
    """The study shrunk to a few minutes: two epochs, few pictures, one seed; a study of its own by its key."""
    from nowt.config.recipes import quick as shrink

    cells = tuple(Cell(cell.name, shrink(cell.config)) for cell in study.cells)
    keep = limit_keep(study.keep, max(cell.config.epochs for cell in cells))
    return replace(study, name=f"{study.name}_quick", cells=cells, seeds=study.seeds[:1], keep=keep)


def _run(study: Study, study_file: StudyFile, plan: tuple[PlannedRun, ...], how: ExecutionOptions) -> Outcome:
    from nowt.tracking.background import record_in_background

    store = Path(how.placement.store)
    progress = StudyProgress(plan)
    with record_in_background(store, study_file) as record:

        def heard(planned: PlannedRun, run: RunLog) -> None:
            record.update(run, planned.cell, planned.seed)
            progress.heard(planned, run)

        ledger = RunQueue(store, plan, heard)
        with progress.bar:
            ledger.recall()
            progress.begin()
            ending = work(ledger, how, study.key, min(how.placement.concurrent_runs, len(plan)), ledger.by_key)
    ledger.release()
    return _outcome(study, ledger, ending.interrupted, how.cap.spoken() if ending.capped else "")


def _outcome(study: Study, ledger: RunQueue, interrupted: bool, capped: str) -> Outcome:
    states = {planned.key: ledger.facts[planned.key].state for planned in ledger.plan if planned.key in ledger.facts}
    failed = tuple(f"{p.cell} seed {p.seed} (run {p.key})" for p in ledger.plan if states.get(p.key) == "failed")
    counts = (list(states.values()).count("finished"), list(states.values()).count("diverged"))
    return Outcome(study, len(ledger.plan), *counts, failed, interrupted, capped)
