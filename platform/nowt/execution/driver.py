"""The interface between schedulers (RunQueue, SearchDriver) and executors."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nowt.config.run_config import RunConfig
from nowt.store.records import RunLog

Message = dict[str, Any]  # {"kind": "start" | "epoch" | "end" | "remark", ...}: plain JSON data, sent by a worker


@dataclass(frozen=True)
class Decision:
    """``start`` a run (by its key), ``wait`` for running ones, or ``done``."""

    do: Literal["start", "wait", "done"]
    key: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study."""

    key: str
    cell: str
    seed: int
    config: RunConfig
    start: dict[str, Any]  # the first line of its log


OnUpdate = Callable[[PlannedRun, RunLog], None]  # called after the log of a run has changed


class Driver(Protocol):
    """Decides what to execute next, and receives the messages of running runs."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    def decide(self) -> Decision:
        """Return what to do with a free slot."""

    def begin(self, key: str) -> PlannedRun:
        """Start a run that ``decide`` named."""

    def receive(self, key: str, message: Message) -> bool:
        """Process one message of a running run. Return False if the run must stop."""

    def mark_failed(self, key: str, reason: str) -> None:
        """End a run whose worker is lost for good."""


class StudyDriver(Driver, Protocol):
    """A driver that keeps the logs of a study."""

    @property
    def run_keys(self) -> Sequence[str]:
        """Keys of all runs of the study so far."""

    def subscribe(self, on_update: OnUpdate) -> None:
        """Call ``on_update`` whenever the log of a run has changed."""

    def recall(self) -> None:
        """Read the results of earlier starts, and report them."""

    def release(self) -> None:
        """Release the log locks of unfinished runs so that another study can resume them."""


def forward_message(driver: Driver, key: str, message: Message) -> bool:
    """Forward one message of a running run to the driver. A remark is only printed: no log records it."""
    if message["kind"] != "remark":
        return driver.receive(key, message)
    print(f"run {key}: {message['text']}", file=sys.stderr, flush=True)
    return True
