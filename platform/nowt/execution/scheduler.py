"""The interface between schedulers (RunQueue, SearchScheduler) and executors, and the rule by which runs are chosen."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nowt.config.run_config import RunConfig
from nowt.core.errors import AccessError
from nowt.core.formatting import printable
from nowt.store.records import FINAL_STATES, RunLog, State

Message = dict[
    str, Any
]  # {"kind": "start" | "epoch" | "audit" | "end" | "remark" | "not saved", ...}: plain JSON data, sent by a worker


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


class Scheduler(Protocol):
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


class StudyScheduler(Scheduler, Protocol):
    """A scheduler that keeps the logs of a study."""

    @property
    def run_keys(self) -> Sequence[str]:
        """Keys of all runs of the study so far."""

    def subscribe(self, on_update: OnUpdate) -> None:
        """Call ``on_update`` whenever the log of a run has changed."""

    def load_results(self) -> None:
        """Read the results of earlier starts, and report them."""

    def release(self) -> None:
        """Release the log locks of unfinished runs so that another study can resume them."""


def forward_message(scheduler: Scheduler, key: str, message: Message) -> bool:
    """Forward one message of a running run to the scheduler. A remark is only printed: no log records it. Raises
    AccessError if the run's worker cannot save checkpoints."""
    if message["kind"] == "not saved":
        raise AccessError(message["text"])
    if message["kind"] != "remark":
        return scheduler.receive(key, message)
    print(printable(f"run {key}: {message['text']}"), file=sys.stderr, flush=True)
    return True


@dataclass(frozen=True)
class RunStatus:
    """The state and the last epoch of a run, from its log."""

    state: State = "missing"
    last_epoch: int = -1


def unfinished(plan: Sequence[str], statuses: Mapping[str, RunStatus]) -> list[str]:
    """Return the planned runs without a result: first those that have begun, then the others, each in the order of the
    plan."""
    open_ = [key for key in plan if statuses.get(key, RunStatus()).state not in FINAL_STATES]
    begun = [key for key in open_ if statuses.get(key, RunStatus()).last_epoch >= 0]
    return begun + [key for key in open_ if key not in set(begun)]


def decide(
    plan: Sequence[str], statuses: Mapping[str, RunStatus], running: Collection[str], attempted: Collection[str]
) -> Decision:
    """Return what to do with a free slot.

    ``attempted`` are the runs that this start of the study has already begun. None is begun twice, so that a run that
    always fails cannot delay the others.
    """
    ready = [key for key in unfinished(plan, statuses) if key not in running and key not in attempted]
    if ready:
        return Decision("start", ready[0])
    return Decision("wait") if running else Decision("done")
