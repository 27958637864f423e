"""A record that neither ends a study nor holds it up: a thread of its own writes it, and what goes wrong is a warning.

Nobody waits for MLflow: of the states of a run that come while it writes, the last one is written, and the logs know
them all. What a killed process had not written yet is written when the record is opened next. A server that cannot be
reached is tried again and again, each time later; once it is back, the logs tell it what it missed.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from nowt.core.urls import address_in_environment
from nowt.store.records import RunLog
from nowt.store.study_file import StudyFile
from nowt.tracking.outbox import Outbox
from nowt.tracking.recorder import Recorder

LOG = logging.getLogger("nowt.tracking")

FAILURES = (MlflowException, SQLAlchemyError, OSError, ValueError)  # ValueError: an unreadable file

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a server is tried again; doubled each time


@dataclass
class BackgroundRecorder:
    """Brings runs up to date as Record does, behind the caller's back, and warns once where that one raises."""

    store: Path
    study: StudyFile | None
    to: str = ""  # URL of a server; empty: the store's own database
    record: Recorder | None = None
    behind: bool = False
    waiting: dict[str, tuple[RunLog, str, int]] = field(default_factory=dict)  # by run key
    closed: bool = False
    changed: Condition = field(default_factory=Condition)

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """See Record.update; it will be done."""
        with self.changed:
            self.waiting[run.key] = run, cell, seed
            self.changed.notify()

    def close(self) -> None:
        """Nothing more will come."""
        with self.changed:
            self.closed = True
            self.changed.notify()

    def write(self) -> None:
        """Open the record, which brings it up to date, and write what comes until it is closed; if it fell behind, open
        it once more."""
        with self._alone():
            self._open()
            self._retry()
            while (heard := self._next()) is not None:
                if self.record is not None:
                    with self._warning():
                        self.record.update(*heard)
                self._retry()
            if self.behind:
                self._open()
        if self.behind and self.to:
            LOG.warning("%s was not reached: nowt runs says what waits, nowt deliver sends it", self.to)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the study's page on a server. Of the single runs each process has its own."""
        if not self.to or self.study is None:
            yield
        else:
            with Outbox.to(self.store, self.to).alone(self.study.key):
                yield

    def _next(self) -> tuple[RunLog, str, int] | None:
        """What has waited longest; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed)
            return self.waiting.pop(next(iter(self.waiting))) if self.waiting else None

    def _open(self) -> None:
        with self._warning():
            self.record = Recorder.open(self.store, self.study, self.to)

    def _retry(self) -> None:
        """Where a server was not reached, try again until it is or nothing more will come."""
        pause = FIRST_PAUSE
        while self.behind and self.to:
            with self.changed:
                if self.changed.wait_for(lambda: self.closed, timeout=pause):
                    return
                self.waiting.clear()  # the logs have it, and opening the record reads them
            self._open()
            pause = min(2 * pause, LONGEST_PAUSE)
            if self.record is not None:
                self.behind = False
                LOG.warning("%s is reached again and has everything", self.to)

    @contextmanager
    def _warning(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            if not self.behind:
                LOG.warning(self._words(), reason_of(error))
            self.behind = True
            if self.to:
                self.record = None  # what it has is asked again

    def _words(self) -> str:
        if self.to:
            return f"{self.to} was not reached (%s): the runs go on, their logs are delivered when it is back"
        return "MLflow lags behind the logs (%s): nowt rebuild brings it up to date"


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line; of a connection that failed the innermost reason, which is the shortest."""
    inner = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    told = inner if isinstance(inner, OSError) else error
    return (str(told).splitlines() or [type(told).__name__])[0]


@contextmanager
def record_in_background(store: Path, study: StudyFile | None) -> Iterator[BackgroundRecorder]:
    """The record of a study, or of the single runs; at the end of the block it has everything, unless it is on a server
    that cannot be reached then. Raises ConfigError where NOWT_RECORD is no URL."""
    quiet = BackgroundRecorder(store, study, address_in_environment())
    writer = Thread(target=quiet.write, name="record", daemon=True)  # a second Ctrl-C does not wait for it
    writer.start()
    try:
        yield quiet
    finally:
        quiet.close()
        writer.join()
