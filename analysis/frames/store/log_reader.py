"""Reads epoch logs about twenty times faster than ``nowt.store.run_log.read``, starting at any line.

``nowt.store.run_log.read`` is the reference: both give the same result (a test compares them), and the same message for
a file that cannot be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from nowt.store import run_log as nowt_log
from nowt.store.records import SCHEMA

Line = dict[str, Any]

NOT_STARTED = "not started"

UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Log:
    """A run's log so far: how much of the file was read, and what it says besides the numbers of its epochs."""

    run: str  # run key
    stamp: str = ""  # of the file when it was read: size, times, inode
    size: int = 0  # bytes that were read: all whole lines
    crc: int = 0  # CRC-32 of those bytes
    start: str = ""  # the start line as JSON; empty where a crash cut it short
    state: str = "running"  # or finished, diverged, stopped, failed, not started, unreadable
    reason: str = ""
    attempts: int = 1
    last_epoch: int = -1
    broken_epoch: int = -1  # the first that was logged without a finite loss; -1 where every one has one
    last_blank: int = -1  # the last that was logged without an error
    begun: int = 0  # milliseconds since 1970 of the start line
    heard: int = 0  # and of the last line
    spent: str = ""  # as JSON: the cost of a run that diverged, with that of the epoch in which it did

    @property
    def facts(self) -> Line:
        """The start line: config, fingerprint, classes, versions, git; empty where there is none."""
        facts: Line = orjson.loads(self.start) if self.start else {}
        return facts

    @property
    def outcome(self) -> str:
        """Its state, but that a finished run without an error at its last epoch has diverged."""
        return "diverged" if self.state == "finished" and self.last_blank == self.last_epoch >= 0 else self.state

    @property
    def diverged_epoch(self) -> int | None:
        """The first epoch without a finite loss: one logged so, or the one never logged; None for other runs."""
        if self.outcome != "diverged":
            return None
        epochs = self.facts.get("config", {}).get("epochs", self.last_epoch + 1)
        return min(self.broken_epoch if self.broken_epoch >= 0 else self.last_epoch + 1, int(epochs))


def hear(log: Log, data: bytes) -> tuple[Log, list[Line]]:
    """The log after these further lines, and the new epochs among them.

    Raises KeyError, TypeError, AttributeError or ValueError for what is no line of an epoch log.
    """
    epochs: list[Line] = []
    for line in _lines(data):
        if line.get("schema", SCHEMA) > SCHEMA:
            raise ValueError("a later schema")
        if line["kind"] == "epoch":
            if line["epoch"] <= log.last_epoch:
                continue  # written twice, by two writers of an older nowt
            epochs.append(line)
        log = _after(log, line)
    return log, epochs


def problem_of(path: Path, error: Exception) -> str:
    """Why a log cannot be read, in one sentence."""
    try:
        nowt_log.read(path)
    except ValueError as told:
        return str(told)
    except OSError as told:
        return f"{path} cannot be read ({told.strerror or told})"
    return f"{path} has a line whose values are not what an epoch log holds ({error}): move the file away"


def _after(log: Log, line: Line) -> Log:
    """The log after one more line."""
    kind, time = line["kind"], line["time"]
    if kind == "epoch":
        first = line["epoch"] if _is_broken(line) and log.broken_epoch < 0 else log.broken_epoch
        blank = line["epoch"] if line["val_error"] is None else log.last_blank
        return replace(log, last_epoch=line["epoch"], heard=time, broken_epoch=first, last_blank=blank)
    if kind == "start":
        start = orjson.dumps({name: value for name, value in line.items() if name != "kind"}).decode()
        return replace(log, start=start, state="running", reason="", begun=time, heard=time)
    if kind == "resume":
        return replace(log, state="running", reason="", attempts=line["attempt"], heard=time, spent="")
    if kind == "end":
        spent = orjson.dumps(line["spent"]).decode() if "spent" in line else ""
        return replace(log, state=line["state"], reason=line["reason"], heard=time, spent=spent)
    return log


def _is_broken(epoch: Line) -> bool:
    # Epoch 0 is the network before learning: it has no training loss to be broken.
    return epoch["val_loss"] is None or (epoch["epoch"] > 0 and epoch["train_loss"] is None)


def _lines(data: bytes) -> Iterator[Line]:
    return map(orjson.loads, data.splitlines())
