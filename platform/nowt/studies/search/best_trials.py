"""The best settings that a search found, from its study file and its logs, and the results of running them again."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nowt.config.run_config import RunConfig, config_from_json
from nowt.core.errors import ConfigError, nearest, require
from nowt.store.layout import Store
from nowt.store.records import RunLog, chance_error
from nowt.store.run_log import read
from nowt.store.study_file import StudyFile, read_study_file, read_study_files, without_repeated
from nowt.studies import ablation
from nowt.studies.study import Study

Run = Callable[[Study], ablation.Outcome]


class NotWhole(Exception):
    """A study that the rest stands on is interrupted, capped, or has runs that failed; ``outcome`` tells."""

    def __init__(self, outcome: ablation.Outcome) -> None:
        super().__init__(outcome.summary())
        self.outcome = outcome


@dataclass(frozen=True)
class BestTrial:
    """One of the best trials of a search's cell."""

    cell: str
    trial: int
    error: float  # on the validation pictures, after the last epoch
    config: RunConfig

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return f"{self.cell} trial {self.trial}"


def search_file(store: Path, wanted: str) -> StudyFile:
    """The study file of the newest search of that name, or of that key. Raises ConfigError where the store has none."""
    study_files = [study_file for study_file in read_study_files(store) if study_file.is_search]
    named = [study_file for study_file in study_files if wanted in (study_file.name, study_file.key)]
    if not named:
        names = sorted({study_file.name for study_file in study_files})
        there = f"; it has: {', '.join(names)}" if names else ": nowt search SPACE makes one"
        raise ConfigError(f"store {store} has no search {wanted!r}{nearest(wanted, names)}{there}")
    return named[-1]


def confirmations(store: Path, search: str) -> tuple[str, ...]:
    """Keys of the runs that confirmed the best of this search so far: a cap counts them, too."""
    named = (f"{search}_confirmed", f"{search}_picks")
    return tuple(
        run.key for study_file in read_study_files(store) if study_file.name in named for run in study_file.runs
    )


def best(store: Path, study_file: StudyFile, most: int) -> list[BestTrial]:
    """The ``most`` best finished trials of each cell, the best first; a run that several trials share counts once.

    Raises ConfigError where the search has no finished trial.
    """
    found: dict[str, dict[str, BestTrial]] = {cell["name"]: {} for cell in study_file.cells}
    for run in without_repeated(study_file.runs):
        path = Store(store).log(run.key)
        if run.stopped is not None or run.key in found[run.cell] or not path.exists():
            continue  # one that this search stopped, another may have taken on to its end
        if (log := read(path)).state != "finished":
            continue
        config = replace(config_from_json(log.start["config"]), seed=0)
        found[run.cell][run.key] = BestTrial(run.cell, run.trial or 0, log.epochs[-1].val_error, config)
    require(any(found.values()), f"search {study_file.name} has no finished trial yet: nowt search {study_file.name}")
    ranked = (sorted(trials.values(), key=lambda one: (one.error, one.trial)) for trials in found.values())
    return [one for trials in ranked for one in trials[:most]]


def fresh_seeds(study_file: StudyFile, count: int) -> tuple[int, ...]:
    """``count`` seeds that the search did not use. Raises ConfigError for none."""
    require(count >= 1, f"{count} fresh seeds are asked for: it must be at least 1")
    used: int = study_file.seeds[0]
    return tuple(range(used + 1, used + 1 + count))


def mean_errors(store: Path, study: Study, split: str, run: Run) -> dict[str, float]:
    """Run the study; by cell, the mean over its seeds of the error after the last epoch, diverged runs at chance.

    A cell's run with a seed is the one that the study file lists last: those before it saw other images. Raises
    NotWhole where runs are missing.
    """
    outcome = run(study)
    if outcome.interrupted or outcome.capped or outcome.failed:
        raise NotWhole(outcome)
    listed = read_study_file(Store(store).study_file(study.key)).runs
    latest = {(run.cell, run.seed): run.key for run in listed if run.seed in study.seeds}
    errors: dict[str, list[float]] = {}
    for (cell, _), key in latest.items():
        errors.setdefault(cell, []).append(_error(read(Store(store).log(key)), split))
    return {cell: statistics.fmean(values) for cell, values in errors.items()}


def _error(run: RunLog, split: str) -> float:
    if run.state == "diverged":
        return chance_error(run.start["classes"])
    last = run.epochs[-1]
    return last.test_error if split == "test" else last.val_error


def percent(error: float) -> str:
    """A share as text."""
    return f"{100 * error:.2f} %"


def seeds_in_words(count: int) -> str:
    """How many seeds a mean is over."""
    return f"{count} fresh seed{'s' * (count > 1)}"
