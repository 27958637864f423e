"""Listens whether the machine that a run is on is soon to be taken away, beside the run, which reads a flag."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

SECONDS = 2.0  # between two looks
AGAIN = 15.0  # seconds between two checkpoints on a machine that is soon to go


class Notices:
    """What was heard so far, in one process of a run."""

    def __init__(self) -> None:
        self.given = False
        self.saved = -math.inf

    def due(self) -> bool:
        """Whether the run is to write a checkpoint: at the first batch after the notice, and every AGAIN seconds
        then, until the machine goes."""
        if not self.given or time.monotonic() < self.saved + AGAIN:
            return False
        self.saved = time.monotonic()
        return True


@contextmanager
def listening(*sources: Callable[[], bool], tell: Callable[[], object] = lambda: None) -> Iterator[Notices]:
    """Ask every source each SECONDS whether the machine is to go. Once one says so, tell it on, and ask no more."""
    notices, over = Notices(), Event()

    def listen() -> None:
        while not any(source() for source in sources):
            if over.wait(SECONDS):
                return
        notices.given = True
        tell()

    thread = Thread(target=listen, name="notices", daemon=True)
    if sources:
        thread.start()
    try:
        yield notices
    finally:
        over.set()
        if sources:
            thread.join()
