"""Reads epoch logs incrementally, about twenty times faster than ``nowt.store.run_log.read``.

``nowt.store.run_log.read`` is the reference: both give the same result (a test compares them), and the same message for
a file that cannot be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from nowt.core.errors import UserError
from nowt.store import run_log as nowt_log
from nowt.store.log_lines import check_line
from nowt.store.records import SCHEMA

Line = dict[str, Any]

NOT_STARTED = "not started"

UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Log:
    """The state of a run's log: how much of the file has been read, and everything but the numbers of its epochs."""

    run: str  # run key
    stamp: str = ""  # size, times and inode of the file when it was read
    size: int = 0  # bytes read, all in complete lines
    crc: int = 0  # CRC-32 of these bytes
    start: str = ""  # the start line as JSON; empty if a crash truncated it
    state: str = "running"  # or finished, diverged, stopped, failed, not started, unreadable
    reason: str = ""
    attempts: int = 1
    last_epoch: int = -1
    broken_epoch: int = -1  # first epoch logged without a finite loss; -1 if none
    last_blank: int = -1  # last epoch logged without an error; -1 if none
    start_time: int = 0  # time of the start line, milliseconds since 1970
    last_time: int = 0  # time of the last line
    spent: str = ""  # as JSON: total cost of a diverged run, including the epoch in which it diverged

    @property
    def facts(self) -> Line:
        """The start line: config, fingerprint, classes, versions, git; empty without one."""
        facts: Line = orjson.loads(self.start) if self.start else {}
        return facts

    @property
    def outcome(self) -> str:
        """Its state; a finished run without an error at its last epoch counts as diverged."""
        return "diverged" if self.state == "finished" and self.last_blank == self.last_epoch >= 0 else self.state

    @property
    def diverged_epoch(self) -> int | None:
        """First epoch without a finite loss, logged or not; None if the run did not diverge."""
        if self.outcome != "diverged":
            return None
        epochs = self.facts.get("config", {}).get("epochs", self.last_epoch + 1)
        return min(self.broken_epoch if self.broken_epoch >= 0 else self.last_epoch + 1, int(epochs))


def parse(log: Log, data: bytes) -> tuple[Log, list[Line]]:
    """Return the log after these further lines, and the new epochs among them, whose numbers are not checked yet.

    Raises KeyError, TypeError, AttributeError or ValueError for a malformed line.
    """
    epochs: list[Line] = []
    for line in _lines(data):
        if line.get("schema", SCHEMA) > SCHEMA:
            raise UserError("a later schema")
        if line["kind"] == "epoch":
            if line["epoch"] <= log.last_epoch:
                continue  # written twice, by two writers of an older version
            epochs.append(line)
        else:
            check_line(line, log.run)
        log = _after(log, line)
    return log, epochs


def problem_of(path: Path, error: Exception) -> str:
    """Return why a log cannot be read, in one sentence."""
    try:
        nowt_log.read(path)
    except ValueError as problem:
        return str(problem)
    except OSError as problem:
        return f"{path} cannot be read ({problem.strerror or problem})"
    return f"{path} has a line with invalid values ({error}): move the file away"


def _after(log: Log, line: Line) -> Log:
    """Return the log after one more line."""
    kind, time = line["kind"], line["time"]
    if kind == "epoch":
        first = line["epoch"] if _is_broken(line) and log.broken_epoch < 0 else log.broken_epoch
        blank = line["epoch"] if line["val_error"] is None else log.last_blank
        return replace(log, last_epoch=line["epoch"], last_time=time, broken_epoch=first, last_blank=blank)
    if kind == "start":
        start = orjson.dumps({name: value for name, value in line.items() if name != "kind"}).decode()
        return replace(log, start=start, state="running", reason="", start_time=time, last_time=time)
    if kind == "resume":
        return replace(log, state="running", reason="", attempts=line["attempt"], last_time=time, spent="")
    if kind == "end":
        spent = orjson.dumps(line["spent"]).decode() if "spent" in line else ""
        return replace(log, state=line["state"], reason=line["reason"], last_time=time, spent=spent)
    return log


def _is_broken(epoch: Line) -> bool:
    # Epoch 0 is the network before training: it has no training loss.
    return epoch["val_loss"] is None or (epoch["epoch"] > 0 and epoch["train_loss"] is None)


def _lines(data: bytes) -> Iterator[Line]:
    return map(orjson.loads, data.split(b"\n")[:-1])
