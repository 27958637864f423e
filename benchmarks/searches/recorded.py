"""Tables of recorded trials: the settings of each trial of a search, and its validation error after each epoch.

A table is a file SPACE.jsonl. Its first line states the facts of the data, every other line one trial.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.config.overrides import value_at
from nowt.config.run_config import RunConfig
from nowt.config.stored_config import stored_config
from nowt.core.errors import require
from nowt.store.layout import Store
from nowt.store.records import RunLog
from nowt.store.run_log import read_all
from nowt.store.study_file import StudyFile
from nowt.studies.search.best_trials import find_search
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Param, Value
from nowt.studies.search.space import SearchSpace

FACTS = ("classes", "training")  # of the data, in a run's start line

FEWEST = 16  # trials of a cell; with fewer, a surrogate would say nothing about the space


@dataclass(frozen=True)
class RecordedTrial:
    """A trial that was trained to its last epoch.

    Attributes:
        values: Its settings, by parameter name.
        errors: Its validation error after the first epoch, the second, and so on, as a fraction of the images.
    """

    values: Mapping[str, Value]
    errors: tuple[float, ...]


@dataclass(frozen=True)
class Table:
    """The recorded trials of a space, by cell, and the facts of its data."""

    facts: Mapping[str, int]
    trials: Mapping[str, list[RecordedTrial]]


def read_table(path: Path, space: SearchSpace) -> Table:
    """Read a table of the space's trials."""
    head, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    trials: dict[str, list[RecordedTrial]] = {cell.name: [] for cell in space.cells}
    cells = {cell.name: cell for cell in space.cells}
    for line in lines:
        values = _parsed(cells[line["cell"]], line["values"])
        trials[line["cell"]].append(RecordedTrial(values, tuple(line["errors"])))
    return Table(head, trials)


def _parsed(cell: SearchCell, values: Mapping[str, Any]) -> dict[str, Value]:
    """Return the values with JSON's lists as tuples."""
    return {p.name: _plain(values[p.name]) for p in cell.params if p.name in values}


def _plain(value: Any) -> Value:
    found: Value = tuple(value) if isinstance(value, list) else value
    return found


def write_table(store: Path, space: SearchSpace, path: Path) -> None:
    """Write the finished trials that ``store`` has of the space. Raises ConfigError if a cell has too few."""
    study_file = find_search(store, space.name)
    logs = {run.key: run for run in read_all(store) if run.state == "finished"}
    lines = [_line(space, study_file, number, logs) for number in range(len(study_file.runs))]
    found = [line for line in lines if line]
    for cell in space.cells:
        count = sum(line["cell"] == cell.name for line in found)
        require(count >= FEWEST, f"{Store(store).logs} has {count} finished trials of {cell.name}: {FEWEST} are needed")
    start = next(iter(logs.values())).start
    written = [{name: start[name] for name in FACTS}, *found]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in written), encoding="utf-8")


def _line(space: SearchSpace, study_file: StudyFile, number: int, logs: Mapping[str, RunLog]) -> dict[str, Any]:
    """Return a trial's line, empty if the trial did not finish."""
    listed = study_file.runs[number]
    if listed.key not in logs or listed.stopped is not None:
        return {}
    run = logs[listed.key]
    cell = next(cell for cell in space.cells if cell.name == listed.cell)
    config = stored_config(run.start["config"], f"run {run.key}")
    errors = [round(epoch.val_error, 5) for epoch in run.epochs if epoch.epoch]
    return {"cell": listed.cell, "trial": listed.trial, "values": _settings(cell, config), "errors": errors}


def _settings(cell: SearchCell, config: RunConfig) -> dict[str, Value]:
    """Return the values of the cell's active parameters in a trial's config."""
    values: dict[str, Value] = {}
    for param in cell.params:
        if cell.is_active(param, values):
            values[param.name] = _value(param, config)
    return values


def _value(param: Param, config: RunConfig) -> Value:
    value: Any = value_at(config, param.path)
    if isinstance(param, Choice) or param.integer:
        return _plain(value)
    return float(f"{value / (value_at(config, param.times) if param.times else 1.0):.6g}")
