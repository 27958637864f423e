"""A study's epoch logs as tidy pandas frames with declared and checked columns: runs, epochs, layers.

One row is one run of one cell; one epoch of it; one layer of that epoch. Errors are shares from 0 to 1,
angles degrees, costs sums since the run's start. What was not measured or is not defined is NaN.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from nowt.log import Epoch, RunLog, read

from analysis.studies import StudyPlan

RUNS = {
    "run": "str",  # run key; a run that two cells share has a row in each
    "study": "str",  # study key
    "cell": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "state": "str",  # not started, running, finished, diverged, failed
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
    "train_loss": "float64",
    "train_error": "float64",
    "val_loss": "float64",
    "val_error": "float64",
    "test_loss": "float64",
    "test_error": "float64",
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


@dataclass(frozen=True)
class _Run:
    run: str
    study: str
    cell: str
    rule: str
    model: str
    seed: int
    epochs: int
    log: RunLog


def read_frames(store: Path, study: StudyPlan) -> Frames:
    """The frames of one study's runs. Raises ValueError for a log that cannot be read, naming the line."""
    logs = {key: read_log(store, key) for key in dict.fromkeys(key for key, _, _ in study.runs)}
    order = {cell: number for number, cell in enumerate(study.cells)}
    planned = sorted(study.runs, key=lambda run: (order[run[1]], run[2]))
    runs = [_run(study, cell, seed, logs[key]) for key, cell, seed in planned]
    return Frames(
        study,
        checked(pd.DataFrame(_run_columns(runs)), RUNS),
        checked(pd.DataFrame(_epoch_columns(runs)), EPOCHS),
        checked(pd.DataFrame(_layer_columns(runs)), LAYERS),
    )


def checked(frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """``frame`` with exactly these columns, in order and typed. Raises ValueError naming the missing."""
    missing = [name for name in columns if name not in frame]
    if missing:
        raise ValueError(f"the frame has no column {', '.join(missing)}; it has: {', '.join(map(str, frame.columns))}")
    return frame[list(columns)].astype(columns)


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows one by one, columns as attributes."""
    return iter(frame.itertuples(index=False))


def read_log(store: Path, key: str) -> RunLog:
    """The log of run ``key``; where there is none yet, one whose state is ``not started``."""
    path = store / "logs" / f"{key}.jsonl"
    return read(path) if path.exists() else RunLog(key, {}, state="not started")


def _run(study: StudyPlan, cell: str, seed: int, log: RunLog) -> _Run:
    config = study.cells[cell]
    return _Run(log.key, study.key, cell, config["rule"]["name"], config["model"]["name"], seed, config["epochs"], log)


def _run_columns(runs: Sequence[_Run]) -> dict[str, Any]:
    names = ("run", "study", "cell", "rule", "model", "seed", "epochs")
    logged = ("state", "reason", "last_epoch", "attempts")
    return {
        **{name: [getattr(run, name) for run in runs] for name in names},
        **{name: [getattr(run.log, name) for run in runs] for name in logged},
        "diverged_epoch": pd.array([_diverged_epoch(run) for run in runs], dtype="Int64"),
        "classes": pd.array([run.log.start.get("classes") for run in runs], dtype="Int64"),
    }


def _diverged_epoch(run: _Run) -> int | None:
    """The first epoch without a finite loss: one that was logged so, or the one that was never logged."""
    if run.log.state != "diverged":
        return None
    broken = (epoch.epoch for epoch in run.log.epochs if _is_broken(epoch))
    return min(next(broken, run.log.last_epoch + 1), run.epochs)


def _is_broken(epoch: Epoch) -> bool:
    # Epoch 0 is the network before learning: it has no training loss to be broken.
    return math.isnan(epoch.val_loss) or (epoch.epoch > 0 and math.isnan(epoch.train_loss))


def _epoch_columns(runs: Sequence[_Run]) -> dict[str, list[Any]]:
    rows = [(run, epoch) for run in runs for epoch in run.log.epochs]
    run_names = ("run", "cell", "rule", "model", "seed")
    measured = [name for name in EPOCHS if name not in run_names]
    return {
        **{name: [getattr(run, name) for run, _ in rows] for name in run_names},
        **{name: [getattr(epoch, name) for _, epoch in rows] for name in measured},
    }


def _layer_columns(runs: Sequence[_Run]) -> dict[str, list[Any]]:
    rows = [(run, epoch, layer) for run in runs for epoch in run.log.epochs for layer in epoch.layers]
    return {
        **{name: [getattr(run, name) for run, _, _ in rows] for name in ("run", "cell", "rule", "seed")},
        "epoch": [epoch.epoch for _, epoch, _ in rows],
        "layer": [layer.name for _, _, layer in rows],
        **{
            name: [getattr(layer, name) for _, _, layer in rows]
            for name in ("depth", "matrix_angle", "delta_angle", "norm_ratio")
        },
    }
