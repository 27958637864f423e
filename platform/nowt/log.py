"""The epoch log: one append-only file of JSON lines a run, the one truth about what was measured.

A line is one of ``start`` (config, fingerprint, versions; written before a worker has the run), ``epoch``, ``resume``
(another attempt) and ``end``. Every line is flushed to the disk before anyone else hears of it. A line cut short by a
crash is dropped when the log is next read or written.
Undefined numbers (an angle that does not exist) are ``null`` in the file and NaN in Python.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from nowt.lines import drop_torn_line, sync_folder, whole_lines
from nowt.price import Machines, machines

SCHEMA = 1
NAN = float("nan")


@dataclass(frozen=True)
class Layer:
    """How one layer's feedback stands to its weights after an epoch. NaN: undefined."""

    name: str
    depth: int  # 0 is the layer next to the input
    matrix_angle: float  # degrees between B and W
    delta_angle: float  # degrees between δ at the layer's output and the δ of backprop, mean over the probe's samples
    norm_ratio: float  # |B| / |W|


@dataclass(frozen=True)
class Epoch:
    """What was measured after one epoch; epoch 0 is the network before learning. Costs are sums since the start."""

    epoch: int
    step: int  # optimiser steps so far
    lr: float  # learning rate of the last step
    train_loss: float  # mean over the epoch's training pictures, as they were presented
    train_error: float  # share of them classified wrongly, 0 to 1
    val_loss: float
    val_error: float
    test_loss: float  # NaN where the test pictures were not opened
    test_error: float
    presentations: int  # training pictures shown to the network
    mirror_presentations: int  # mirror samples shown to its layers (one a layer's batch entry / number of layers)
    flops: float  # floating point operations of training, mirror mode included
    seconds: float  # time in training steps, mirror mode included
    probe_seconds: float  # time in the alignment probe
    layers: tuple[Layer, ...] = ()

    @property
    def cost(self) -> dict[str, float]:
        """Presentations (mirror samples included), FLOPs and seconds of training so far."""
        shown = self.presentations + self.mirror_presentations
        return {"presentations": float(shown), "flops": self.flops, "seconds": self.seconds}


@dataclass(frozen=True)
class Span:
    """One attempt at a run: its begin and its last line so far, milliseconds since 1970."""

    begin: int
    end: int
    machines: Machines = field(default_factory=dict)  # of the cluster when it began, by node type


@dataclass(frozen=True)
class RunLog:
    """One run as its log tells it."""

    key: str
    start: dict[str, Any]  # the start line: config, fingerprint, classes, versions, git, time
    epochs: tuple[Epoch, ...] = ()
    times: tuple[int, ...] = ()  # milliseconds since 1970 at which each epoch was logged
    workers: tuple[int, ...] = ()  # that shared the run at the end of each epoch
    state: str = "running"  # running, finished, diverged, failed
    reason: str = ""
    attempts: int = 1
    spans: tuple[Span, ...] = ()  # an attempt each
    spent: dict[str, float] = field(default_factory=dict)  # of one that diverged: its cost, the last epoch included

    def heard_at(self, time_ms: int) -> "RunLog":
        """The run, the attempt in progress longer by a line of that time."""
        last = self.spans[-1] if self.spans else Span(time_ms, time_ms)
        return replace(self, spans=(*self.spans[:-1], replace(last, end=time_ms)))

    def with_epoch(self, epoch: Epoch, time_ms: int, workers: int) -> "RunLog":
        """The run, one epoch longer."""
        longer = replace(self.heard_at(time_ms), epochs=(*self.epochs, epoch), times=(*self.times, time_ms))
        return replace(longer, workers=(*self.workers, workers))

    @property
    def cost(self) -> dict[str, float]:
        """What the run cost so far, as Epoch.cost; empty where it logged nothing."""
        return self.spent or (self.epochs[-1].cost if self.epochs else {})

    @property
    def last_epoch(self) -> int:
        """The last epoch that was logged; -1 where there is none."""
        return self.epochs[-1].epoch if self.epochs else -1


def epoch_to_json(epoch: Epoch) -> dict[str, Any]:
    """The epoch as plain JSON data, NaN as null."""
    data = asdict(epoch)
    data["layers"] = [_finite(layer) for layer in data["layers"]]
    return _finite(data)


def epoch_from_json(data: dict[str, Any]) -> Epoch:
    """The epoch that ``epoch_to_json`` wrote."""
    layers = tuple(_build(Layer, layer) for layer in data["layers"])
    epoch: Epoch = _build(Epoch, {**data, "layers": layers})
    return epoch


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}


def _build(kind: type[Any], data: dict[str, Any]) -> Any:
    return kind(**{f.name: NAN if data[f.name] is None else data[f.name] for f in fields(kind)})


class HeldElsewhere(Exception):
    """Another process, or another study in this one, is writing the run's log."""


def is_held(path: Path) -> bool:
    """Whether a writer holds the log now."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Hold:
    """A log that is locked for one writer, from now until the object goes, however its process ends."""

    file = -1  # until it is open

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        for wait in (0.02, 0.02, 0.0):  # whoever asks whether it is held holds it for a moment
            try:
                return fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(wait)
        raise HeldElsewhere(path.stem)

    def __del__(self) -> None:
        if self.file >= 0:
            os.close(self.file)


@dataclass
class LogWriter:
    """Appends to one run's log; the only writer of that file while it lives. ``run`` is what the file now says."""

    path: Path
    run: RunLog
    hold: Hold

    @classmethod
    def open(cls, folder: Path, key: str) -> "LogWriter":
        """The writer of run ``key``; drops a last line that a crash cut short. Raises HeldElsewhere."""
        path = folder / f"{key}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        hold = Hold(path)
        drop_torn_line(path)
        return cls(path, read(path), hold)

    def start(self, key: str, **facts: Any) -> None:
        """Write the start line."""
        line = {"schema": SCHEMA, "key": key, **facts, **_named(machines())}
        time_ms = self._append({"kind": "start", **line})
        self.run = _started(self.run, {**line, "time": time_ms})

    def resume(self, epoch: int) -> None:
        """Say that another attempt goes on after ``epoch``."""
        line = {"attempt": self.run.attempts + 1, "epoch": epoch, **_named(machines())}
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
    for number, line in enumerate(whole_lines(path), 1):
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


def _named(machines: Machines) -> dict[str, Machines]:
    """As a line's field, where the machines have types."""
    return {"machines": machines} if machines else {}


def read_all(store: Path) -> Iterator[RunLog]:
    """Every run's log in a store, by key; without those whose start line a crash cut short."""
    for path in sorted((store / "logs").glob("*.jsonl")):
        run = read(path)
        if "config" in run.start:
            yield run
