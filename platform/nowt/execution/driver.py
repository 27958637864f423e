"""What the hands need of whoever decides: a study's Ledger, or a Search."""

import sys
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nowt.config.run_config import RunConfig


@dataclass(frozen=True)
class Decision:
    """``start`` a run (by key), ``wait`` for those under way, or ``done``."""

    do: Literal["start", "wait", "done"]
    key: str = ""


Message = dict[str, Any]  # {"kind": "start" | "epoch" | "end", ...}: plain JSON data, as it comes from a worker


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study."""

    key: str
    cell: str
    seed: int
    config: RunConfig
    start: dict[str, Any]  # the start line of its log


class Driver(Protocol):
    """Knows what to do next, and takes in what happens."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    def decide(self) -> Decision:
        """What to do with a free slot."""

    def begin(self, key: str) -> PlannedRun:
        """Hand out a run that ``decide`` named."""

    def hear(self, key: str, message: Message) -> bool:
        """Take in one message of a live run; False where the run is to stop here."""

    def lose(self, key: str, reason: str) -> None:
        """A run's worker is gone for good."""


def hand_on(driver: Driver, key: str, message: Message) -> bool:
    """Hand one message of a live run on; what the run remarks by the way is for its user alone."""
    if message["kind"] != "remark":
        return driver.hear(key, message)
    print(f"run {key}: {message['text']}", file=sys.stderr, flush=True)
    return True
