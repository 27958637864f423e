"""Locks: one process runs a study at a time, and one writer appends to an epoch log."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nowt.core.errors import ConfigError
from nowt.store.layout import Store


@contextmanager
def study_lock(store: Path, study: str) -> Iterator[None]:
    """Lock ``study`` in its store until the block or the process ends. Raises ConfigError if another process has it."""
    path = Store(store).lock(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ConfigError(
                f"study {study} is already being run by process {owner}: wait for it, or stop it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class LogInUse(Exception):
    """Another process, or another study in this process, is writing the log."""


def is_locked(path: Path) -> bool:
    """Return whether a writer has locked the log at ``path``."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class LogLock:
    """Locks a log for one writer until the object is deleted or its process ends. Raises LogInUse."""

    file = -1  # until it is open

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        for wait in (0.02, 0.02, 0.0):  # ``is_locked`` itself locks the log for a moment
            try:
                return fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(wait)
        raise LogInUse(path.stem)

    def __del__(self) -> None:
        if self.file >= 0:
            os.close(self.file)
