"""Runs every cell of a study with every seed, skipping finished runs."""

from dataclasses import dataclass, replace

from nowt.config.placement import Placement
from nowt.config.recipes import shrink_config
from nowt.config.run_config import DataConfig, ModelConfig, RunConfig
from nowt.core.errors import Echo
from nowt.core.formatting import counted
from nowt.execution.lifecycle import StudyExecution
from nowt.execution.notices import plan_notices
from nowt.execution.preparation import DataFacts, distinct_rules, inspect_data, plan_seeds
from nowt.execution.progress import StudyProgress
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import PlannedRun
from nowt.execution.slots import find_slots
from nowt.store.listed_runs import ListedRun
from nowt.store.outcome import ended_in_words
from nowt.store.records import FAILED_STATES
from nowt.studies.study import Cell, Study, study_to_json
from nowt.studies.superseded import check_superseded, describe_others, superseded_runs, with_earlier_seeds
from nowt.training.feasibility import worker_counts
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
    capped: str = ""  # the spending cap that stopped it, as text

    def summary(self) -> str:
        """Return one line; if runs failed, it says what to do."""
        text = f"study {self.study.key}: {ended_in_words(self.planned, self.finished, self.diverged)}"
        if self.failed:
            text += f", {len(self.failed)} failed: {', '.join(self.failed)}; "
            text += "nowt show RUN prints the reason; run the same command again to retry"
        if self.capped:
            left = self.planned - self.finished - self.diverged - len(self.failed)
            text += f"; stopped at its cap of {self.capped}, {counted(left, 'run')} left; a larger cap resumes it"
        return text


Inputs = tuple[DataConfig, ModelConfig, bool, int, int, str]


def ablate(study: Study, options: ExecutionOptions, echo: Echo, repeats: bool = True) -> Outcome:
    """Run every cell with every seed. Called again, it runs only what is missing.

    ``repeats``: cells of an earlier study of this name are the same ones, so that their runs with other settings no
    longer count. It is False if the cells are what a search has found so far.

    Raises ConfigError if another process runs this study, or if finished runs no longer count and ``redo`` is not set;
    DataError if its data cannot be read.
    """
    options = replace(options, placement=with_retention(options.placement, study.keep, study.epochs))
    execution = StudyExecution(study.key, options, echo)
    listed = planned_runs(with_earlier_seeds(study, execution.store), options.placement)
    plan = tuple(planned for planned in listed if planned.seed in study.seeds)
    if repeats:
        check_superseded(study.name, superseded_runs(execution.store, study.name, plan), options, echo)
        others = [planned for planned in listed if planned.seed not in study.seeds]
        execution.print_notices([describe_others(study, execution.store, others)])
    with execution.lock():
        echo(f"study {study.key}: {counted(len(plan), 'run')}")  # since the first result may take minutes
        study_file = execution.record(
            study_to_json(study),
            rules=[cell.config.rule for cell in study.cells],
            runs=[ListedRun(planned.key, planned.cell, planned.seed) for planned in listed],
            notices=plan_notices(plan),
        )
        queue = RunQueue(execution.store, plan)
        slots = find_slots(options.placement, len(plan)).count
        outcome = execution.run(queue, StudyProgress(plan), slots, study_file)
    return _outcome(study, queue, outcome.interrupted, options.cap.to_text() if outcome.capped else "")


def planned_runs(study: Study, placement: Placement) -> tuple[PlannedRun, ...]:
    """Return every run of the study with its key. Each data set that the cells use is opened once.

    Raises ConfigError and DataError for a cell that could not start.
    """
    configs: dict[Inputs, list[RunConfig]] = {}
    for cell in study.cells:
        config = cell.config.with_seed(study.seeds[0])
        worker_counts(config, placement.workers)
        configs.setdefault(_inputs(config), []).append(config)
    found = {inputs: inspect_data(alike[0], placement, distinct_rules(alike)) for inputs, alike in configs.items()}
    facts = DataFacts(placement)
    for inputs, alike in configs.items():
        facts.add(alike[0], found[inputs])
    of_cells = [
        plan_seeds(cell.name, cell.config, study.seeds, lambda config: {**found[_inputs(config)], **facts.of(config)})
        for cell in study.cells
    ]
    return tuple(planned for of_seed in zip(*of_cells, strict=True) for planned in of_seed)


def _inputs(config: RunConfig) -> Inputs:
    """Return what decides, besides the rule, whether a run can train."""
    return config.data, config.model, bool(config.test), config.batch, config.probe.samples, config.precision


def shrink_study(study: Study) -> Study:
    """Return the study shrunk to a few minutes: two epochs, few images, one seed. It has a key of its own."""
    cells = tuple(Cell(cell.name, shrink_config(cell.config)) for cell in study.cells)
    keep = limit_keep(study.keep, max(cell.config.epochs for cell in cells))
    return replace(study, name=f"{study.name}_quick", cells=cells, seeds=study.seeds[:1], keep=keep)


def _outcome(study: Study, queue: RunQueue, interrupted: bool, capped: str) -> Outcome:
    states = [queue.statuses[p.key].state if p.key in queue.statuses else "missing" for p in queue.plan]
    pairs = zip(queue.plan, states, strict=True)  # of one run, there may be several: one per cell that shares it
    failed = tuple(f"{p.cell} seed {p.seed} (run {p.key})" for p, state in pairs if state in FAILED_STATES)
    return Outcome(study, len(states), states.count("finished"), states.count("diverged"), failed, interrupted, capped)
