"""What the hands need of whoever decides: a study's Ledger, or a Search."""

import sys
from typing import Protocol

from nowt.engine import Decision
from nowt.ledger import Message, Planned


class Driver(Protocol):
    """Knows what to do next, and takes in what happens."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    def decide(self) -> Decision:
        """What to do with a free slot."""

    def begin(self, key: str) -> Planned:
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
