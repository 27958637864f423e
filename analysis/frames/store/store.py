"""All runs of a store as frames: runs, epochs, layers, cells, trials."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.frames.searches import SearchPlan
from analysis.frames.store import columns
from analysis.frames.store.log_reader import UNREADABLE, Log
from analysis.frames.store.logs import Logs, read_logs, rebuild_logs
from analysis.frames.store.rows import frame_of
from analysis.frames.store.trial_rows import TRIALS, trial_frame
from analysis.frames.studies import StudyPlan, plan_of
from nowt.core.errors import UserError, did_you_mean
from nowt.core.fields import flatten
from nowt.core.formatting import counted
from nowt.store.layout import Store
from nowt.store.names import RUN_KEY
from nowt.store.study_file import read_study_file
from nowt.store.superseded_runs import superseded_in_all
from nowt.store.used_images import images_digest


@dataclass(frozen=True)
class StoreFrames:
    """The frames of a store as of the time it was read. Call ``read_store`` again to update them.

    Attributes:
        runs, epochs, layers, cells, trials: The frames; docs/frames.md explains every column.
        problems: One sentence per log or study file that cannot be read and is left out.
    """

    logs: Logs = field(repr=False)
    plans: tuple[StudyPlan | SearchPlan, ...] = field(repr=False)  # oldest first
    problems: tuple[str, ...]
    superseded: frozenset[str] = field(default=frozenset(), repr=False)  # keys of runs that count in no study any more

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run: columns analysis.frames.store.RUNS."""
        rows = [_run(log) | {"superseded": log.run in self.superseded} for log in self._logs]
        return enforce_schema(pd.DataFrame(rows, columns=list(columns.RUNS)), columns.RUNS)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch of a run: columns analysis.frames.store.EPOCHS."""
        return frame_of(*self.logs.epochs(list(self.runs["run"])), self.runs, columns.EPOCHS)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per layer and epoch: columns analysis.frames.store.LAYERS."""
        return frame_of(*self.logs.layers(list(self.runs["run"])), self.runs, columns.LAYERS)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per run of a study's cell: columns analysis.frames.store.CELLS. Runs outside any study have none."""
        rows = [row for plan in self.plans for row in _cells(plan)]
        return enforce_schema(pd.DataFrame(rows, columns=list(columns.CELLS)), columns.CELLS)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial of a search: the search's key and name, and columns analysis.frames.store.TRIALS."""
        found = [_trials(self.logs, plan) for plan in self.plans if isinstance(plan, SearchPlan)]
        declared = columns.STUDY_TRIALS | TRIALS
        empty = pd.DataFrame(columns=list(declared)).astype(declared)
        return enforce_schema(pd.concat([empty, *found], ignore_index=True) if found else empty, declared)

    def settings(self, *paths: str) -> pd.DataFrame:
        """Return config fields by run.

        Args:
            paths: Dotted paths of fields, such as ``optim.lr``.

        Returns:
            One row per run: its key in ``run``, and one column per path. A value is missing if the run's config has no
            such field, for example a field of another rule.

        Raises:
            ValueError: No run's config has this field; the message names the nearest one.

        Example:
            >>> store.runs.merge(store.settings("optim.lr"), on="run")  # doctest: +SKIP
        """
        configs = {log.run: flatten(log.facts["config"]) for log in self._logs}
        known = {path for config in configs.values() for path in config}
        for path in paths:
            if configs and path not in known:
                raise UserError(
                    f"no run's config has a field {path!r}{did_you_mean(path, known)}: "
                    "give a dotted path such as optim.lr"
                )
        rows = [{"run": run} | {path: config.get(path) for path in paths} for run, config in configs.items()]
        return pd.DataFrame(rows, columns=["run", *paths])

    def __str__(self) -> str:
        states = self.runs["state"].value_counts().items()
        runs = f"{counted(len(self.runs), 'run')} ({', '.join(f'{n} {state}' for state, n in states) or 'none yet'})"
        unread = f", {counted(len(self.problems), 'unreadable file')} (see problems)" if self.problems else ""
        return f"{self.logs.store}: {runs}, {counted(len(self.plans), 'study', 'studies')}{unread}"

    @property
    def _logs(self) -> list[Log]:
        """The readable logs that have a start line."""
        return [log for log in self.logs.cache.logs.values() if log.start and log.state != UNREADABLE]


def read_store(store: str | Path) -> StoreFrames:
    """Read all runs of a store as frames.

    New log lines are read and cached in ``STORE/frames/``; a store on a read-only file system works, too.

    Args:
        store: Folder of the store.

    Returns:
        The frames. A log or study file that cannot be read is left out and named in ``problems``.

    Raises:
        ValueError: There is no store, or none of its logs can be read.

    Example:
        >>> store = read_store("runs")  # doctest: +SKIP
        >>> store.epochs.groupby(["rule", "epoch"])["val_error"].mean()  # doctest: +SKIP
    """
    return _frames(_existing(store), read_logs(Path(store)))


def rebuild_frames(store: Path) -> str:
    """Rebuild ``STORE/frames/`` from all logs, and return a summary."""
    frames = _frames(_existing(store), rebuild_logs(store))
    runs = counted(len(frames.runs), "run")
    measured = f"{counted(frames.logs.epoch_rows, 'epoch')} and {counted(frames.logs.layer_rows, 'layer')} of them"
    left_out = "".join(f"\nleft out: {problem}" for problem in frames.problems)
    return f"{runs}, {measured} written to {store}/frames{left_out}"


def _existing(store: str | Path) -> Path:
    if not Path(store).is_dir():
        raise UserError(f"there is no store at {store}: give the folder that nowt ablate or nowt search wrote")
    return Path(store)


def _frames(store: Path, logs: Logs) -> StoreFrames:
    plans, files, problems = [], [], [log.reason for log in logs.cache.logs.values() if log.state == UNREADABLE]
    if problems and len(problems) == len(logs.cache.logs):
        raise UserError(problems[0])
    misnamed = (path for path in Store(store).log_files() if not RUN_KEY.matches(path.stem))
    problems += [f"{path} is not named by {RUN_KEY.noun}: move it out of the store" for path in misnamed]
    for path in Store(store).study_files():
        try:
            files.append(read_study_file(path))
            plans.append(plan_of(files[-1], path))
        except ValueError as error:
            problems.append(str(error))
    oldest_first = tuple(sorted(plans, key=lambda plan: plan.created))
    return StoreFrames(logs, oldest_first, tuple(problems), frozenset(superseded_in_all(files)))


def _run(log: Log) -> dict[str, Any]:
    facts = log.facts
    config = flatten(facts["config"])
    logged = ("run", "reason", "last_epoch", "diverged_epoch", "attempts")
    settings = {"rule": "rule.name", "model": "model.name", "data": "data.name", "seed": "seed", "epochs": "epochs"}
    return {
        **{name: getattr(log, name) for name in logged},
        "state": log.outcome,
        **{name: config.get(path) for name, path in settings.items()},
        "started": pd.Timestamp(log.start_time, unit="ms", tz="UTC"),
        "heard": pd.Timestamp(log.last_time, unit="ms", tz="UTC"),
        "classes": facts.get("classes"),
        "fingerprint": facts.get("fingerprint", ""),
        "commit": facts.get("git", {}).get("commit", ""),
        "images": images_digest(facts),
    }


def _cells(plan: StudyPlan | SearchPlan) -> Iterator[dict[str, Any]]:
    reference = plan.reference if isinstance(plan, StudyPlan) else None
    number = "seed" if isinstance(plan, StudyPlan) else "trial"
    for run, cell, count in plan.runs:
        place = {"study": plan.key, "name": plan.name, "cell": cell, "run": run}
        yield {"seed": None, "trial": None, **place, "reference": cell == reference, number: count}


def _trials(logs: Logs, plan: SearchPlan) -> pd.DataFrame:
    return trial_frame(logs, plan)[list(TRIALS)].assign(study=plan.key, name=plan.name)
