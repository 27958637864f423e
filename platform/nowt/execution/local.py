"""Executes a study's runs one after the other in this process: without Ray, easy to debug."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nowt.config.placement import Placement
from nowt.execution.job import Job, run_job
from nowt.execution.preemption import PreemptionNotice, instance_metadata, watch_for_preemption
from nowt.execution.scheduler import Scheduler, forward_message

WAIT = 0.5  # seconds


def run(scheduler: Scheduler, placement: Placement) -> bool:
    """Execute what ``scheduler`` decides. Return False if the user interrupted it: with one Ctrl-C or SIGTERM, after
    the current batch."""
    ec2 = instance_metadata()
    sources = () if ec2 is None else (lambda: ec2.terminates_at() is not None,)
    with interruptible() as interrupts, watch_for_preemption(*sources) as notice:
        return _run(scheduler, placement, interrupts, notice)


def _run(scheduler: Scheduler, placement: Placement, interrupts: list[int], notice: PreemptionNotice) -> bool:
    from nowt.training.loop import TrainingInterrupted

    while (decision := scheduler.decide()).do != "done":
        if interrupts:
            return False
        if decision.do == "wait":  # another study is running the remaining runs
            time.sleep(WAIT)
            continue
        planned = scheduler.begin(decision.key)
        try:
            job = Job.of(planned, placement)
            for message in run_job(job, lambda: bool(interrupts), notice.checkpoint_due):
                if not forward_message(scheduler, planned.key, message):
                    break
        except TrainingInterrupted:
            return False
    return not interrupts


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list instead of ending the process. A second Ctrl-C raises KeyboardInterrupt."""
    interrupts: list[int] = []

    def collect(number: int, _: object) -> None:
        if interrupts and number == signal.SIGINT:
            raise KeyboardInterrupt
        interrupts.append(number)

    before = {number: signal.signal(number, collect) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
