"""A record that never ends a study: what goes wrong in it is a line of warning, made good later."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from nowt.log import RunLog
from nowt.record.mlflow_record import Record
from nowt.sheet import Sheet

LOG = logging.getLogger("nowt.record")
FAILURES = (MlflowException, SQLAlchemyError, OSError, ValueError)  # ValueError: an unreadable file


@dataclass
class QuietRecord:
    """Brings runs up to date as Record does, and warns once where that one raises."""

    store: Path
    study: Sheet | None
    record: Record | None = None
    behind: bool = False

    def update(self, run: RunLog, cell: str, seed: int) -> None:
        """See Record.update."""
        if self.record is not None:
            with self._warning():
                self.record.update(run, cell, seed)

    def open(self) -> None:
        """Open the record, which brings it up to date."""
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
    """The record of a study, or of the single runs; if it fell behind, it is opened once more at the end."""
    quiet = QuietRecord(store, study)
    quiet.open()
    try:
        yield quiet
    finally:
        if quiet.behind:
            quiet.open()
