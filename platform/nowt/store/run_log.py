"""The epoch log: one append-only file of JSON lines a run, the one truth about what was measured.

A line is one of ``start`` (config, fingerprint, versions; written before a worker has the run), ``epoch``, ``resume``
(another attempt) and ``end``. Every line is flushed to the disk before anyone else hears of it. A line cut short by a
crash is dropped when the log is next read or written.
Undefined numbers (an angle that does not exist) are ``null`` in the file and NaN in Python.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.store.jsonl import complete_lines, drop_torn_line, sync_folder
from nowt.store.layout import Store
from nowt.store.locks import Hold
from nowt.store.records import SCHEMA, Epoch, Machines, RunLog, Span, epoch_from_json, epoch_to_json


@dataclass
class LogWriter:
    """Appends to one run's log; the only writer of that file while it lives. ``run`` is what the file now says."""

    path: Path
    run: RunLog
    hold: Hold

    @classmethod
    def open(cls, store: Path, key: str) -> "LogWriter":
        """The writer of run ``key``; drops a last line that a crash cut short. Raises HeldElsewhere."""
        path = Store(store).log(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        hold = Hold(path)
        drop_torn_line(path)
        return cls(path, read(path), hold)

    def start(self, key: str, machines: Machines | None = None, **facts: Any) -> None:
        """Write the start line. ``machines``: those of the cluster, by node type."""
        line = {"schema": SCHEMA, "key": key, **facts, **_named(machines)}
        time_ms = self._append({"kind": "start", **line})
        self.run = _started(self.run, {**line, "time": time_ms})

    def resume(self, epoch: int, machines: Machines | None = None) -> None:
        """Say that another attempt goes on after ``epoch``."""
        line = {"attempt": self.run.attempts + 1, "epoch": epoch, **_named(machines)}
        self.run = _resumed(self.run, line, self._append({"kind": "resume", **line}))

    def epoch(self, epoch: Epoch, workers: int = 1) -> bool:
        """Append the epoch, which so many workers shared, unless it is there already; True where it was new."""
        if epoch.epoch <= self.run.last_epoch:
            return False
        shared = {"workers": workers} if workers > 1 else {}
        time_ms = self._append({"kind": "epoch", **epoch_to_json(epoch), **shared})
        self.run = self.run.with_epoch(epoch, time_ms, workers)
        return True

    def end(self, state: str, reason: str = "", spent: dict[str, float] | None = None) -> None:
        """Close the run as finished, diverged or failed; ``spent`` is its cost where the epochs do not tell it."""
        line = {"state": state, "reason": reason, **({"spent": spent} if spent else {})}
        self.run = _ended(self.run, line, self._append({"kind": "end", **line, "epoch": self.run.last_epoch}))

    def _append(self, line: dict[str, Any]) -> int:
        time_ms = time.time_ns() // 1_000_000
        text = json.dumps({**line, "time": time_ms}, allow_nan=False)
        new = self.path.stat().st_size == 0
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path.parent)
        return time_ms


def read(path: Path) -> RunLog:
    """One run's log. Raises ValueError for a file that is no log, naming the line."""
    run = RunLog(path.stem, {})
    for number, line in enumerate(complete_lines(path), 1):
        try:
            run = _told(run, path, json.loads(line))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{path}, line {number} is not a line of an epoch log ({reason}): move the file away"
            ) from None
    return run


def _told(run: RunLog, path: Path, line: Any) -> RunLog:
    """The run after one more line of its log."""
    if not isinstance(line, dict):
        raise TypeError("not an object")
    if line.get("schema", SCHEMA) > SCHEMA:
        raise ValueError(f"{path} has log schema {line['schema']}, this nowt reads up to {SCHEMA}: update nowt")
    kind = line.pop("kind")
    if kind == "start":
        return _started(run, line)
    time_ms = line.pop("time")
    if kind == "epoch":
        epoch = epoch_from_json(line)
        if epoch.epoch <= run.last_epoch:
            return run  # a log that two writers of an older nowt came to
        return run.with_epoch(epoch, time_ms, line.get("workers", 1))
    if kind == "resume":
        return _resumed(run, line, time_ms)
    if kind == "end":
        return _ended(run, line, time_ms)
    return run


def _started(run: RunLog, line: dict[str, Any]) -> RunLog:
    span = Span(line["time"], line["time"], line.get("machines", {}))
    return replace(run, start=line, state="running", reason="", spans=(span,))


def _ended(run: RunLog, line: dict[str, Any], time_ms: int) -> RunLog:
    return replace(run.heard_at(time_ms), state=line["state"], reason=line["reason"], spent=line.get("spent", {}))


def _resumed(run: RunLog, line: dict[str, Any], time_ms: int) -> RunLog:
    span = Span(time_ms, time_ms, line.get("machines", {}))
    return replace(run, state="running", reason="", attempts=line["attempt"], spans=(*run.spans, span))


def _named(machines: Machines | None) -> dict[str, Machines]:
    """As a line's field, where the machines have types."""
    return {"machines": machines} if machines else {}


def read_all(store: Path) -> Iterator[RunLog]:
    """Every run's log in a store, by key; without those whose start line a crash cut short."""
    for path in Store(store).log_files():
        run = read(path)
        if "config" in run.start:
            yield run
