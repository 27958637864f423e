"""The epoch logs of one study as tidy pandas frames with declared and checked columns: runs, epochs, layers.

A row of ``runs`` is one run of one cell, a row of ``epochs`` one epoch of it, a row of ``layers`` one layer in one
epoch. Errors are fractions from 0 to 1, angles are in degrees, and costs are cumulative since the start of the run. A
value that was not measured or is undefined is NaN.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames.claim_record import runs_before_claim, runs_of_search
from analysis.frames.rule_names import with_rule_names
from analysis.frames.schema import enforce_schema
from analysis.frames.store.columns import SCORES
from analysis.frames.store.log_reader import Log
from analysis.frames.store.logs import read_logs
from analysis.frames.store.rows import frame_of
from analysis.frames.studies import StudyPlan
from nowt.core.errors import UserError
from nowt.store.chance import SPLIT_NAMES
from nowt.store.records import TRANSPORT_DETECTED
from nowt.store.used_images import CountedRun, describe_images, images_digest, runs_by_images

RUNS = {
    "run": "str",  # run key; a run that two cells share has one row per cell
    "study": "str",  # study key
    "cell": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "state": "str",  # not started, running, finished, diverged, failed, transport detected, unreadable
    "reason": "str",
    "epochs": "int64",  # configured
    "last_epoch": "int64",  # last one logged; -1 if none
    "diverged_epoch": "Int64",  # first epoch without a finite loss; missing if the run did not diverge
    "classes": "Int64",
    "attempts": "int64",
    "images": "str",  # digest of its images without their split; empty if the run has not started, or if it is unknown
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
    "depth": "int64",  # position in the model's definition, from 0; the output layer is the last
    "matrix_angle": "float64",
    "delta_angle": "float64",
    "norm_ratio": "float64",
    "through_feedback": "boolean",  # whether δ depends on the rule; missing in logs of earlier versions
}


@dataclass(frozen=True)
class Frames:
    """The frames of one study, in the study's order of cells and seeds.

    Attributes:
        study: The study's cells, reference and runs.
        runs: One row per cell and seed, columns ``RUNS``.
        epochs: One row per epoch of a run, columns ``EPOCHS``; epoch 0 is the network before training.
        layers: One row per layer and epoch of a run, columns ``LAYERS``.
        uncovered: For each model, the names of its weights that use backprop under every rule, since rules apply only
            to Conv2d and Linear layers that the forward pass calls. Models without such weights are left out.
        store: The folder from which the frames were read.
        copies: For each data set, a sentence that counts the images of equal content. Data sets without any are left
            out.
        before_claim: Number of runs that had begun when the study's claim was recorded, of the study and of the search
            whose best settings it trains; None if this is unknown, or if there is no claim.
        images: For each run key, the number of images by split, ``val`` and ``test``; empty in logs of earlier
            versions.
    """

    study: StudyPlan
    runs: pd.DataFrame
    epochs: pd.DataFrame
    layers: pd.DataFrame
    uncovered: dict[str, tuple[str, ...]] = field(default_factory=dict)
    store: Path | None = None
    copies: dict[str, str] = field(default_factory=dict)
    before_claim: int | None = None
    images: dict[str, dict[str, int]] = field(default_factory=dict)


def read_frames(store: Path, study: StudyPlan) -> Frames:
    """Read the epoch logs of one study's runs.

    Args:
        store: Folder of the store.
        study: The study, from ``find_study``.

    Returns:
        The frames. A run whose log cannot be read has state ``unreadable``, no epochs, and a reason that names the
        line.

    Raises:
        ValueError: Runs with the same data settings used different images. The message names them and says what to do.

    Example:
        >>> frames = read_frames(Path("runs"), find_study(Path("runs"), "rules_on_digits"))  # doctest: +SKIP
        >>> frames.epochs.groupby(["cell", "epoch"])["val_error"].mean()  # doctest: +SKIP
    """
    order = {cell: number for number, cell in enumerate(study.cells)}
    planned = sorted(study.runs, key=lambda run: (order[run[1]], run[2]))
    keys = [key for key, _, _ in planned]
    logs = read_logs(store, [*keys, *runs_of_search(store, study)])
    starts = [(cell, logs.get(key).facts) for key, cell, _ in planned]
    _require_same_images(study, [CountedRun(cell, seed, logs.get(key).facts) for key, cell, seed in planned])
    study = replace(study, cells=with_rule_names(study.cells, starts))
    runs = pd.DataFrame([_run(study, cell, seed, logs.get(key)) for key, cell, seed in planned], columns=list(RUNS))
    runs = enforce_schema(runs, RUNS)
    epochs, layers = frame_of(*logs.epochs(keys), runs, EPOCHS), frame_of(*logs.layers(keys), runs, LAYERS)
    copies = copies_of(start for _, start in starts)
    early = runs_before_claim(store, study, logs)
    images = {key: _images(logs.get(key).facts) for key in keys}
    return Frames(study, runs, epochs, layers, _uncovered(study, starts), store, copies, early, images)


def _require_same_images(study: StudyPlan, runs: Sequence[CountedRun]) -> None:
    if found := runs_by_images(runs):
        raise UserError(
            f"study {study.key} has runs on {describe_images(found, 'seed')}, which are not averaged: run nowt ablate "
            f"{study.name} again, on the images to keep; then only runs on these count"
        )


def _images(start: dict[str, Any]) -> dict[str, int]:
    return {split: start[name] for split, name in SPLIT_NAMES.items() if name in start}


def _uncovered(study: StudyPlan, starts: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, ...]]:
    """Return the weights without a rule by model, from cells and the start lines of their logs; bp does not count."""
    found = {}
    for cell, start in starts:
        config = study.cells[cell]
        if start.get("not_replaced") and config["rule"]["name"] != "bp":
            found[config["model"]["name"]] = tuple(start["not_replaced"])
    return found


def copies_of(starts: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return what start lines of logs say about images of equal content, by data set."""
    return {start["config"]["data"]["name"]: start["copies"] for start in starts if start.get("copies")}


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Iterate over the rows, with columns as attributes."""
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
        "images": images_digest(log.facts),
    }


def counted_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that enter the statistics: finished and diverged ones."""
    return runs[runs["state"].isin(["finished", "diverged"])]


def unfinished_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that do not enter the statistics: not started, running, failed or unreadable ones."""
    return runs[~runs["state"].isin(["finished", "diverged"])]


def require_counted_runs(frames: Frames) -> None:
    """Raise ValueError if no run of the study has finished or diverged; the message counts its runs by state."""
    if counted_runs(frames.runs).empty:
        found = states_in_words(frames.runs)
        if (unreadable := frames.runs[frames.runs["state"] == "unreadable"]).size:
            raise UserError(f"study {frames.study.key} has no finished run ({found}): {unreadable['reason'].iloc[0]}")
        raise UserError(f"study {frames.study.key} has no finished run yet ({found}): {way_to_results(frames.runs)}")


def way_to_results(rows: pd.DataFrame) -> str:
    """Return what to do about runs or trials none of which has finished."""
    if len(rows) and set(rows["state"]) == {TRANSPORT_DETECTED}:
        run = rows["run"].iloc[-1]
        return f"the rule reads weights that it does not declare, and nowt show {run} says where; see docs/audits.md"
    return "resume it with the command that started it"


def states_in_words(rows: pd.DataFrame) -> str:
    """Return the number of rows by state, as ``2 running or interrupted, 1 failed``: logs do not tell these apart."""
    names = {"running": "running or interrupted"}
    return ", ".join(f"{count} {names.get(str(state), state)}" for state, count in rows["state"].value_counts().items())
