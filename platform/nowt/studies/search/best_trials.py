"""The best settings that a search found, from its study file and epoch logs, and the errors of running them again."""

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from nowt.config.run_config import RunConfig
from nowt.config.run_key import changed_files
from nowt.config.stored_config import stored_config
from nowt.core.errors import require
from nowt.core.formatting import counted
from nowt.store.layout import Store
from nowt.store.listed_runs import drop_duplicate_runs
from nowt.store.records import RunLog
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, find_study_files, read_study_file, read_study_files
from nowt.studies import ablation
from nowt.studies.search.mean_error import MeanError
from nowt.studies.study import Study

Run = Callable[[Study], ablation.Outcome]


class StudyIncomplete(Exception):
    """A study whose results are needed was interrupted or capped, or has failed runs; see ``outcome``."""

    def __init__(self, outcome: ablation.Outcome) -> None:
        super().__init__(outcome.summary())
        self.outcome = outcome


@dataclass(frozen=True)
class BestTrial:
    """One of the best trials of a cell."""

    cell: str
    trial: int
    error: float  # validation error after the last epoch
    config: RunConfig

    @property
    def name(self) -> str:
        """The trial's name in tables and messages."""
        return f"{self.cell} trial {self.trial}"


def find_search(store: Path, wanted: str) -> StudyFile:
    """Return the study file of the newest search with name or key ``wanted``. Raises ConfigError if there is none."""
    return find_study_files(store, wanted, searches=True)[-1]


def confirmation_runs(store: Path, search: str) -> tuple[str, ...]:
    """Return the keys of the runs that have confirmed the best trials of ``search``; a spending cap includes them."""
    named = (f"{search}_confirmed", f"{search}_picks")
    return tuple(run.key for file in read_study_files(store) if file.name in named for run in file.runs)


def best_trials(store: Path, study_file: StudyFile, limit: int) -> list[BestTrial]:
    """Return the ``limit`` best finished trials of each cell, the best first. A run that trials share counts once.

    Raises ConfigError if the search has no finished trial.
    """
    found: dict[str, dict[str, BestTrial]] = {cell["name"]: {} for cell in study_file.cells}
    for run in drop_duplicate_runs(study_file.runs):
        path = Store(store).log(run.key)
        if run.stopped is not None or run.key in found[run.cell] or not path.exists():
            continue  # another search may have finished a run that this one stopped
        if (log := read(path)).state != "finished":
            continue
        config = replace(stored_config(log.start["config"], f"run {run.key}"), seed=0)
        changed = changed_files(config, log.start.get("code", {}))
        line = f"search {study_file.name}: {', '.join(changed)} has changed since trial {run.trial} was trained"
        require(not changed, f"{line}: search again, or restore the file")
        found[run.cell][run.key] = BestTrial(run.cell, run.trial or 0, log.epochs[-1].val_error, config)
    name = study_file.name
    require(any(found.values()), f"search {name} has no finished trial yet: run nowt search {name}")
    ranked = (sorted(trials.values(), key=lambda one: (one.error, one.trial)) for trials in found.values())
    return [one for trials in ranked for one in trials[:limit]]


def fresh_seeds(study_file: StudyFile, count: int, used: Collection[int] = ()) -> tuple[int, ...]:
    """Return the first ``count`` seeds after the search's own that are not ``used``. Raises ConfigError if ``count`` is
    below 1."""
    require(count >= 1, f"the number of fresh seeds is {count}: it must be at least 1")
    unused = (seed for seed in itertools.count(study_file.seeds[0] + 1) if seed not in used)
    return tuple(itertools.islice(unused, count))


def mean_errors(store: Path, study: Study, split: str, run: Run) -> dict[str, MeanError]:
    """Run the study and return the mean error of each cell.

    If the study file lists several runs of a cell with one seed, the last one counts: those before used other images.
    Raises StudyIncomplete if runs are missing.
    """
    outcome = run(study)
    if outcome.interrupted or outcome.capped or outcome.failed:
        raise StudyIncomplete(outcome)
    listed = read_study_file(Store(store).study_file(study.key)).runs
    latest = {(run.cell, run.seed): run.key for run in listed if run.seed in study.seeds}
    runs: dict[str, list[RunLog]] = {}
    for (cell, _), key in latest.items():
        runs.setdefault(cell, []).append(read(Store(store).log(key)))
    return {cell: MeanError.of(each, split) for cell, each in runs.items()}


def further_seeds(store: Path, study: Study) -> list[str]:
    """Return a line if the study file lists runs with seeds that this start does not have."""
    runs = read_study_file(Store(store).study_file(study.key)).runs
    further = sorted({run.seed for run in runs} - set(study.seeds))
    which = f"{counted(len(further), 'more seed')} from an earlier start ({', '.join(map(str, further))})"
    line = f"{study.name} has {which}, which nowt report includes and the means above do not"
    return [line] if further else []


def format_seeds(count: int) -> str:
    """Return the number of fresh seeds in words."""
    return counted(count, "fresh seed")
