"""A study's epoch logs as tidy pandas frames with declared and checked columns: runs, epochs, layers.

One row is one run of one cell; one epoch of it; one layer of that epoch. Errors are shares from 0 to 1,
angles degrees, costs sums since the run's start. What was not measured or is not defined is NaN.
``read_store`` gives a whole store, ``read_mlflow`` an experiment of an MLflow that nowt did not write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames.schema import checked
from analysis.frames.store.columns import SCORES
from analysis.frames.store.log_reader import Log
from analysis.frames.store.logs import read_logs
from analysis.frames.store.rows import frame_of
from analysis.frames.studies import StudyPlan

RUNS = {
    "run": "str",  # run key; a run that two cells share has a row in each
    "study": "str",  # study key
    "cell": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "state": "str",  # not started, running, finished, diverged, failed, unreadable
    "reason": "str",
    "epochs": "int64",  # asked for
    "last_epoch": "int64",  # logged; -1 before the first
    "diverged_epoch": "Int64",  # the first epoch without a finite loss; empty for a run that did not diverge
    "classes": "Int64",
    "attempts": "int64",
}

EPOCHS = {
    "run": "str",
    "cell": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "epoch": "int64",
    "presentations": "int64",
    "mirror_presentations": "float64",
    "flops": "float64",
    "seconds": "float64",
    **SCORES,
}

LAYERS = {
    "run": "str",
    "cell": "str",
    "rule": "str",
    "seed": "int64",
    "epoch": "int64",
    "layer": "str",
    "depth": "int64",  # 0 is the layer next to the input
    "matrix_angle": "float64",
    "delta_angle": "float64",
    "norm_ratio": "float64",
}


@dataclass(frozen=True)
class Frames:
    """A study's runs, epochs and layers, in the study's order of cells and seeds."""

    study: StudyPlan
    runs: pd.DataFrame  # columns RUNS
    epochs: pd.DataFrame  # columns EPOCHS
    layers: pd.DataFrame  # columns LAYERS


def read_frames(store: Path, study: StudyPlan) -> Frames:
    """The frames of one study's runs. One whose log cannot be read has no epochs, and a reason that names the line."""
    order = {cell: number for number, cell in enumerate(study.cells)}
    planned = sorted(study.runs, key=lambda run: (order[run[1]], run[2]))
    keys = [key for key, _, _ in planned]
    logs = read_logs(store, keys)
    runs = pd.DataFrame([_run(study, cell, seed, logs.of(key)) for key, cell, seed in planned], columns=list(RUNS))
    runs = checked(runs, RUNS)
    return Frames(study, runs, frame_of(*logs.epochs(keys), runs, EPOCHS), frame_of(*logs.layers(keys), runs, LAYERS))


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows one by one, columns as attributes."""
    return iter(frame.itertuples(index=False))


def _run(study: StudyPlan, cell: str, seed: int, log: Log) -> dict[str, Any]:
    config = study.cells[cell]
    logged = ("run", "reason", "last_epoch", "diverged_epoch", "attempts")
    return {
        **{name: getattr(log, name) for name in logged},
        "state": log.outcome,
        "study": study.key,
        "cell": cell,
        "rule": config["rule"]["name"],
        "model": config["model"]["name"],
        "seed": seed,
        "epochs": config["epochs"],
        "classes": log.facts.get("classes"),
    }


def counted_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that enter the statistics: finished or diverged."""
    return runs[runs["state"].isin(["finished", "diverged"])]


def unfinished_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that do not: not started, running or failed."""
    return runs[~runs["state"].isin(["finished", "diverged"])]


def require_counted_runs(frames: Frames) -> None:
    """Raises ValueError for a study without a finished or diverged run, saying how its runs stand."""
    if counted_runs(frames.runs).empty:
        found = states_in_words(frames.runs)
        if (unreadable := frames.runs[frames.runs["state"] == "unreadable"]).size:
            raise ValueError(f"study {frames.study.key} has no finished run ({found}): {unreadable['reason'].iloc[0]}")
        again = f"`nowt ablate {frames.study.name}` goes on with them"
        raise ValueError(f"study {frames.study.key} has no finished run yet ({found}): {again}")


def states_in_words(rows: pd.DataFrame) -> str:
    """``2 running, 1 failed``."""
    return ", ".join(f"{count} {state}" for state, count in rows["state"].value_counts().items())
