"""The results of probes: STORE/probes/STUDY/METRIC.jsonl, an append-only file with one line per run and epoch.

A line has ``run``, ``cell``, ``rule``, ``seed``, ``epoch``, ``metric``, ``values`` (numbers by name, null where
undefined), ``others`` (the names that are no layer's), and the settings that the numbers depend on: ``measure`` (a hash
of the metric's file), ``images`` (their number), ``split`` and ``against`` (the cell that it compares with).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nowt.core.errors import ConfigError
from nowt.store.jsonl import complete_lines, drop_incomplete_line
from nowt.store.layout import Store
from nowt.store.locks import LogInUse, LogLock

ResultLine = dict[str, Any]

WHOLE_NETWORK = "all"  # the name of a number that describes the whole network


@dataclass(frozen=True)
class ProbeSettings:
    """The settings that determine a metric's numbers, apart from run and epoch. The fields are the keys of a line."""

    measure: str
    images: int
    split: str
    against: str

    @classmethod
    def from_line(cls, line: ResultLine) -> "ProbeSettings":
        """Return the settings of a line."""
        return cls(**{name: line[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class ResultsFile:
    """The results file of a metric, open for one writer."""

    path: Path
    settings: ProbeSettings
    done: frozenset[tuple[str, int]]  # run and epoch of the lines with these settings

    def add(self, line: ResultLine) -> None:
        """Append one run and epoch. The line is on disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **asdict(self.settings)}, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def open_results(store: Path, study: str, metric: str, settings: ProbeSettings) -> Iterator[ResultsFile]:
    """Open the results file of a metric, and lock it within the block.

    Raises:
        ConfigError: If another process has locked it.
    """
    path = Store(store).probe(study, metric)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = LogLock(path)
    except LogInUse:
        raise ConfigError(f"another nowt probe is writing {path}: wait for it, or stop it") from None
    drop_incomplete_line(path)
    done = {(line["run"], line["epoch"]) for line in read_results(path) if ProbeSettings.from_line(line) == settings}
    try:
        yield ResultsFile(path, settings, frozenset(done))
    finally:
        del lock  # now, and not when a traceback that refers to it is freed


def read_results(path: Path) -> list[ResultLine]:
    """Return every complete line. Raises ValueError for an invalid one, with its number."""
    lines = []
    for number, text in enumerate(complete_lines(path), 1):
        try:
            line = _renamed(json.loads(text))
            ProbeSettings.from_line(line), line["run"], line["epoch"], line["metric"], line["values"], line["others"]
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number} is not a result of nowt probe: move the file away") from None
        lines.append(line)
    return lines


def _renamed(line: ResultLine) -> ResultLine:
    """Return the line with today's keys: earlier versions wrote ``pictures`` for ``images``."""
    return {{"pictures": "images"}.get(name, name): value for name, value in line.items()}
