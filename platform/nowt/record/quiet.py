"""A record that neither ends a study nor holds it up: a thread of its own writes it, and what goes wrong is a warning.

Nobody waits for MLflow: of the states of a run that come while it writes, the last one is written, and the logs know
them all. What a killed process had not written yet is written when the record is opened next.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from nowt.log import RunLog
from nowt.record.mlflow_record import Record
from nowt.sheet import Sheet

LOG = logging.getLogger("nowt.record")
FAILURES = (MlflowException, SQLAlchemyError, OSError, ValueError)  # ValueError: an unreadable file


@dataclass
class QuietRecord:
    """Brings runs up to date as Record does, behind the caller's back, and warns once where that one raises."""

    store: Path
    study: Sheet | None
    record: Record | None = None
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
        self._open()
        while (heard := self._next()) is not None:
            if self.record is not None:
                with self._warning():
                    self.record.update(*heard)
        if self.behind:
            self._open()

    def _next(self) -> tuple[RunLog, str, int] | None:
        """What has waited longest; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed)
            return self.waiting.pop(next(iter(self.waiting))) if self.waiting else None

    def _open(self) -> None:
        with self._warning():
            self.record = Record.open(self.store, self.study)

    @contextmanager
    def _warning(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            if not self.behind:
                why = (str(error).splitlines() or [type(error).__name__])[0]
                LOG.warning("MLflow lags behind the logs (%s): nowt rebuild brings it up to date", why)
            self.behind = True


@contextmanager
def open_quietly(store: Path, study: Sheet | None) -> Iterator[QuietRecord]:
    """The record of a study, or of the single runs; at the end of the block it has everything."""
    quiet = QuietRecord(store, study)
    writer = Thread(target=quiet.write, name="record", daemon=True)  # a second Ctrl-C does not wait for it
    writer.start()
    try:
        yield quiet
    finally:
        quiet.close()
        writer.join()
