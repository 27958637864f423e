"""Runs a study's runs one after the other in this very process: no Ray, easy to debug."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nowt.config import Placement
from nowt.hands.driver import Driver, hand_on
from nowt.hands.job import Job, perform

WAIT = 0.5  # seconds


def run(ledger: Driver, placement: Placement) -> bool:
    """Do all that the ledger decides; False where the user interrupted (Ctrl-C once: after the batch in progress)."""
    from nowt.train import Interrupted

    with interruptible() as asked:
        while (decision := ledger.decide()).do != "done":
            if asked:
                return False
            if decision.do == "wait":  # for another study, which is at the last of the runs
                time.sleep(WAIT)
                continue
            planned = ledger.begin(decision.key)
            try:
                for message in perform(Job(planned.key, planned.config, placement), lambda: bool(asked)):
                    if not hand_on(ledger, planned.key, message):
                        break
            except Interrupted:
                return False
    return not asked


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that Ctrl-C fills; the second Ctrl-C raises at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
