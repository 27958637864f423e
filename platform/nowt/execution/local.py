"""Runs a study's runs one after the other in this very process: no Ray, easy to debug."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nowt.config.placement import Placement
from nowt.execution.driver import Driver, hand_on
from nowt.execution.job import Job, perform
from nowt.execution.preemption import Notices, listening, metadata

WAIT = 0.5  # seconds


def run(ledger: Driver, placement: Placement) -> bool:
    """Do all that the ledger decides; False where it was interrupted (Ctrl-C once, or SIGTERM: after the batch in
    progress)."""
    ec2 = metadata()
    sources = () if ec2 is None else (lambda: ec2.ends_at() is not None,)
    with interruptible() as asked, listening(*sources) as notices:
        return _run(ledger, placement, asked, notices)


def _run(ledger: Driver, placement: Placement, asked: list[int], notices: Notices) -> bool:
    from nowt.training.loop import TrainingInterrupted

    while (decision := ledger.decide()).do != "done":
        if asked:
            return False
        if decision.do == "wait":  # for another study, which is at the last of the runs
            time.sleep(WAIT)
            continue
        planned = ledger.begin(decision.key)
        try:
            job = Job(planned.key, planned.config, placement)
            for message in perform(job, lambda: bool(asked), notices.due):
                if not hand_on(ledger, planned.key, message):
                    break
        except TrainingInterrupted:
            return False
    return not asked


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM fill; the second Ctrl-C raises at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
