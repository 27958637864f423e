"""Records a study in MLflow from a separate thread, so that MLflow neither delays nor ends the study.

The study never waits for MLflow. If a run changes several times while the thread is writing, only its latest state is
written; the logs have all of them. Whatever a killed process had not written is written the next time the study's
experiment is opened. A server that cannot be reached is retried at growing intervals, and then receives what it missed
from the logs. All errors become warnings; one that is not expected, a bug, keeps its traceback.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from nowt.core.formatting import printable
from nowt.core.urls import tracking_url_from_environment
from nowt.store.files import check_present
from nowt.store.records import RunLog
from nowt.store.study_file import StudyFile
from nowt.tracking.outbox import Outbox
from nowt.tracking.recorder import Recorder

LOG = logging.getLogger("nowt.tracking")

FAILURES = (MlflowException, SQLAlchemyError, OSError, ValueError)  # ValueError: an unreadable file

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a server is retried; doubled each time


@dataclass
class BackgroundRecorder:
    """Updates runs as ``Recorder`` does, in the background, and logs one warning if that raises."""

    store: Path
    study: StudyFile | None
    url: str = ""  # of a server; empty: the store's own database
    recorder: Recorder | None = None
    is_behind: bool = False
    waiting: dict[str, tuple[RunLog, str, int]] = field(default_factory=dict)  # by run key
    closed: bool = False
    changed: Condition = field(default_factory=Condition)

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """Schedule ``Recorder.update``."""
        with self.changed:
            self.waiting[run.key] = run, cell, seed
            self.changed.notify()

    def close(self) -> None:
        """Declare that no more updates follow."""
        with self.changed:
            self.closed = True
            self.changed.notify()

    def write(self) -> None:
        """Open the experiment, which brings it up to date, and write updates until ``close``.

        If a write failed, open the experiment once more at the end.
        """
        with self._warning(), self._study_lock():
            self._open()
            self._retry()
            while (update := self._next()) is not None:
                if self.recorder is not None:
                    with self._warning():
                        check_present(self.store)
                        self.recorder.update(*update)
                self._retry()
            if self.is_behind:
                self._open()
        if self.is_behind and self.url:
            LOG.warning("%s could not be reached. nowt runs lists the waiting runs; nowt deliver sends them", self.url)

    @contextmanager
    def _study_lock(self) -> Iterator[None]:
        """Lock the study on a server. Single runs need no lock, since each process has its own."""
        if not self.url or self.study is None:
            yield
        else:
            with Outbox.for_server(self.store, self.url).lock(self.study.key):
                yield

    def _next(self) -> tuple[RunLog, str, int] | None:
        """Return the oldest update; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed)
            return self.waiting.pop(next(iter(self.waiting))) if self.waiting else None

    def _open(self) -> None:
        with self._warning():
            check_present(self.store)
            self.recorder = Recorder.open(self.store, self.study, self.url)

    def _retry(self) -> None:
        """Retry until the server is reached or ``close`` is called, if the server was not reached."""
        pause = FIRST_PAUSE
        while self.is_behind and self.url:
            with self.changed:
                if self.changed.wait_for(lambda: self.closed, timeout=pause):
                    return
                self.waiting.clear()  # the logs have them, and opening the experiment reads the logs
            self._open()
            pause = min(2 * pause, LONGEST_PAUSE)
            if self.recorder is not None:
                self.is_behind = False
                LOG.warning("%s is available again and up to date", self.url)

    @contextmanager
    def _warning(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # also a bug: it must neither end the thread nor go unnoticed
            known = isinstance(error, FAILURES)
            if not self.is_behind:
                reason = reason_of(error) if known else f"{type(error).__name__}: {error}"
                LOG.warning(self._message(known), reason, exc_info=not known)
            self.is_behind = True
            if self.url:
                self.recorder = None  # opening it again asks the server what it has

    def _message(self, known: bool) -> str:
        if self.url and known:
            return f"{self.url} was not reached (%s): the runs continue, and are delivered once it is available again"
        return "MLflow is behind the logs (%s): nowt rebuild brings it up to date"


def reason_of(error: BaseException) -> str:
    """Return the error in one line; for a failed connection the innermost cause, which is the shortest."""
    inner = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    cause = inner if isinstance(inner, OSError) else error
    return printable((str(cause).splitlines() or [type(cause).__name__])[0])


@contextmanager
def record_in_background(store: Path, study: StudyFile | None) -> Iterator[BackgroundRecorder]:
    """Record a study, or (``study`` None) the single runs, in MLflow.

    At the end of the block MLflow is up to date, unless its server cannot be reached then. Raises ConfigError if
    NOWT_RECORD is not a URL.
    """
    recorder = BackgroundRecorder(store, study, tracking_url_from_environment())
    writer = Thread(target=recorder.write, name="record", daemon=True)  # a second Ctrl-C does not wait for it
    writer.start()
    try:
        yield recorder
    finally:
        recorder.close()
        writer.join()
