"""The epoch log: an append-only file of JSON lines per run. It is the source of truth for everything that was measured.

A line is of kind ``start`` (config, fingerprint, versions; written before a worker gets the run), ``epoch``, ``resume``
(another attempt, with those facts that differ from the start's), ``audit`` (an audited step) or ``end``. Every line is
on disk before anything else is notified of it. An incomplete last line, left by a crash, is dropped the next time the
log is read or written. Undefined numbers, such as the angle of a zero vector, are ``null`` in the file and NaN in
Python.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nowt.core.errors import UserError, require
from nowt.store.audits import audit_from_json
from nowt.store.files import check_present, make_folder, open_plain_file
from nowt.store.jsonl import (
    LONGEST_LINE,
    append_line,
    as_written,
    complete_lines,
    drop_incomplete_line,
    json_text,
    parse_line,
)
from nowt.store.layout import Store
from nowt.store.locks import LogLock
from nowt.store.log_lines import check_line, schema_of
from nowt.store.names import RUN_KEY
from nowt.store.records import SCHEMA, Epoch, Machines, RunLog, Span, changed_facts, epoch_from_json, epoch_to_json


@dataclass
class LogWriter:
    """Appends to the log of one run, as its only writer. ``run`` is the content of the file.

    Raises AccessError if the log was moved or removed.
    """

    path: Path
    run: RunLog
    lock: LogLock

    @classmethod
    def open(cls, store: Path, key: str) -> "LogWriter":
        """Open the log of run ``key`` for writing, and drop an incomplete last line. Raises LogInUse."""
        path = Store(store).log(key)
        make_folder(path.parent)
        lock = LogLock(path)
        drop_incomplete_line(path)
        return cls(path, read(path), lock)

    def start(self, key: str, machines: Machines | None = None, **facts: Any) -> None:
        """Write the start line. ``machines`` are those of the cluster, by node type."""
        line = {"schema": SCHEMA, "key": key, **facts, **_named(machines)}
        self.run = _with_line(self.run, self._append({"kind": "start", **line}))

    def resume(self, epoch: int, machines: Machines | None = None, **facts: Any) -> None:
        """Record that another attempt resumes after ``epoch``, and those of its ``facts`` that differ from the
        start's."""
        changed = changed_facts(self.run.start, as_written(facts))
        line = {"attempt": self.run.attempts + 1, "epoch": epoch, **_named(machines)}
        line |= {"changed": changed} if changed else {}
        self.run = _with_line(self.run, self._append({"kind": "resume", **line}))

    def epoch(self, epoch: Epoch, workers: int = 1) -> bool:
        """Append the epoch, which ``workers`` workers shared, and return True; return False if it is there already."""
        if epoch.epoch <= self.run.last_epoch:
            return False
        shared = {"workers": workers} if workers > 1 else {}
        line = self._append({"kind": "epoch", **epoch_to_json(epoch), **shared})
        self.run = self.run.with_epochs([epoch], [line["time"]], [workers])
        return True

    def audit(self, audit: dict[str, Any]) -> bool:
        """Append an audited step and return True; return False if it is there already."""
        new = audit_from_json(audit)
        if any((one.step, one.problem) == (new.step, new.problem) for one in self.run.audits):
            return False
        self.run = _with_line(self.run, self._append({"kind": "audit", **audit}))
        return True

    def end(self, state: str, reason: str = "", spent: dict[str, float] | None = None) -> None:
        """Close the run in a state other than running; ``spent`` is its cost if the epochs do not give it."""
        line = {"state": state, "reason": reason, **({"spent": spent} if spent else {})}
        self.run = _with_line(self.run, self._append({"kind": "end", **line, "epoch": self.run.last_epoch}))

    def _append(self, line: dict[str, Any]) -> dict[str, Any]:
        """Append the line with the time, and return it as it will be read."""
        self.lock.guard.check()
        check_present(self.path)
        text = json_text({**line, "time": time.time_ns() // 1_000_000})
        append_line(self.path, text)
        return dict(json.loads(text))


def read(path: Path) -> RunLog:
    """Read one log. Raises ValueError for a file that is not a log, naming the line."""
    run, epochs = RunLog(path.stem, {}), list[dict[str, Any]]()
    for number, text in enumerate(complete_lines(path), 1):
        line = _parsed(path, number, text)
        if line["kind"] == "epoch":
            epochs.append(line)
        else:
            run, epochs = _with_line(_with_epochs(run, epochs), line), []
    return _with_epochs(run, epochs)


def _parsed(path: Path, number: int, text: bytes) -> dict[str, Any]:
    """Return one line of the log at ``path``. Raises ValueError for an invalid one, and for one of a newer schema."""
    try:
        line = parse_line(text)
        schema = schema_of(line)
        if schema <= SCHEMA:
            return check_line(line, path.stem)
    except ValueError as error:
        raise UserError(f"{path}, line {number} is not a line of an epoch log ({error}): move the file away") from None
    raise UserError(f"{path} has log schema {schema}, this version of nowt reads up to {SCHEMA}: update nowt")


def _with_epochs(run: RunLog, lines: list[dict[str, Any]]) -> RunLog:
    """Return the run after successive lines of epochs. A log that had two writers, before logs were locked, may have
    an epoch twice."""
    last, new = run.last_epoch, list[tuple[Epoch, int, int]]()
    for line in lines:
        epoch = epoch_from_json({name: value for name, value in line.items() if name not in ("kind", "time")})
        if epoch.epoch > last:
            new.append((epoch, line["time"], line.get("workers", 1)))
            last = epoch.epoch
    return run.with_epochs(*map(tuple, zip(*new, strict=True))) if new else run


def _with_line(run: RunLog, line: dict[str, Any]) -> RunLog:
    """Return the run after one more line of its log, which is none of an epoch."""
    kind = line.pop("kind")
    if kind == "start":
        return _started(run, line)
    time_ms = line.pop("time")
    if kind == "resume":
        return _resumed(run, line, time_ms)
    if kind == "audit":
        return replace(run, audits=(*run.audits, audit_from_json(line)))
    if kind == "end":
        return _ended(run, line, time_ms)
    return run


def _started(run: RunLog, line: dict[str, Any]) -> RunLog:
    span = Span(line["time"], line["time"], line.get("machines", {}))
    return replace(run, start=line, state="running", reason="", spans=(span,))


def _ended(run: RunLog, line: dict[str, Any], time_ms: int) -> RunLog:
    return replace(run.extended_to(time_ms), state=line["state"], reason=line["reason"], spent=line.get("spent", {}))


def _resumed(run: RunLog, line: dict[str, Any], time_ms: int) -> RunLog:
    span = Span(time_ms, time_ms, line.get("machines", {}), line.get("epoch", -1), line.get("changed", {}))
    return replace(run, state="running", reason="", attempts=line["attempt"], spans=(*run.spans, span))


def _named(machines: Machines | None) -> dict[str, Machines]:
    """Return the machines as a field of a line, if they have types."""
    return {"machines": machines} if machines else {}


def read_start(path: Path) -> dict[str, Any]:
    """Return the start line of a log without reading the rest; empty if it is missing or invalid, which ``read``
    reports."""
    with open_plain_file(path) as file:
        line = file.readline(LONGEST_LINE)
    try:
        start = _parsed(path, 1, line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
    return start if start.get("kind") == "start" else {}


def read_all(store: Path) -> Iterator[RunLog]:
    """Yield every run in the store, by key, except those without a complete start line. Raises ConfigError for a log
    whose name is no run key."""
    for path in Store(store).log_files():
        require(RUN_KEY.matches(path.stem), f"{path} is not named by {RUN_KEY.noun}: move it out of the store")
        run = read(path)
        if "config" in run.start:
            yield run


def schema_problems(store: Path) -> Iterator[str]:
    """Yield one sentence if the store has logs of a newer schema."""
    folder = Store(store).logs
    newest = max((_schema(path) for path in Store(store).log_files()), default=SCHEMA)
    if newest > SCHEMA:
        yield f"{folder} has logs of schema {newest}, this version of nowt reads up to {SCHEMA}: update nowt"


def _schema(log: Path) -> int:
    """Return the schema in a log's first line; the current one if the line is invalid, which reading the log
    reports."""
    with open_plain_file(log) as file:
        try:
            return schema_of(parse_line(file.readline(LONGEST_LINE)))
        except ValueError:
            return SCHEMA
