"""What was measured: STORE/probes/STUDY/METRIC.jsonl, a line for each run and epoch, only ever appended to.

A line has ``run``, ``cell``, ``rule``, ``seed``, ``epoch``, ``metric``, ``values`` (numbers by name, null where
undefined), ``others`` (the names that are no layer's), and what they depend on besides: ``measure`` (a digest of the
metric's file), ``pictures``, ``split`` and ``against`` (the cell that was compared with).
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

Line = dict[str, Any]

WHOLE = "all"  # the name of a number that is the whole network's


@dataclass(frozen=True)
class Settings:
    """What a metric's numbers depend on, besides run and epoch."""

    measure: str
    pictures: int
    split: str
    against: str

    @classmethod
    def of(cls, line: Line) -> "Settings":
        """Those that a line was measured with."""
        return cls(**{name: line[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Results:
    """A metric's results file, open for one writer."""

    path: Path
    settings: Settings
    done: frozenset[tuple[str, int]]  # run and epoch

    def add(self, line: Line) -> None:
        """Append one run and epoch, on disk before this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, **asdict(self.settings)}, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def results(store: Path, study: str, metric: str, settings: Settings) -> Iterator[Results]:
    """The file, held until the block ends. Raises ConfigError where another process holds it."""
    path = Store(store).probe(study, metric)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        hold = LogLock(path)
    except LogInUse:
        raise ConfigError(f"another nowt probe is writing {path}: wait for it, or stop it") from None
    drop_incomplete_line(path)
    done = {(line["run"], line["epoch"]) for line in read(path) if Settings.of(line) == settings}
    try:
        yield Results(path, settings, frozenset(done))
    finally:
        del hold  # and not when a traceback lets go of it


def read(path: Path) -> list[Line]:
    """Every whole line. Raises ValueError for one that is none, naming it."""
    lines = []
    for number, text in enumerate(complete_lines(path), 1):
        try:
            line = json.loads(text)
            Settings.of(line), line["run"], line["epoch"], line["metric"], line["values"], line["others"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number} is no result of nowt probe: move the file away") from None
        lines.append(line)
    return lines
