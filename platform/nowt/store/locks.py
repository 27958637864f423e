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
    with process_lock(Store(store).lock(study), f"study {study} is already being run"):
        yield


@contextmanager
def process_lock(path: Path, taken: str) -> Iterator[None]:
    """Lock the file at ``path``, which is created, until the block or the process ends.

    Raises ConfigError if another process has it; the message begins with ``taken``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ConfigError(f"{taken} by process {owner}: wait for it, or stop it") from None
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
        while True:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self._lock(path)
            if self._is_at(path):
                return
            self._close()  # ``nowt merge`` has replaced the log meanwhile: the lock is that of the old file

    def _lock(self, path: Path) -> None:
        for wait in (0.02, 0.02, 0.0):  # ``is_locked`` itself locks the log for a moment
            try:
                return fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(wait)
        raise LogInUse(path.stem)

    def _is_at(self, path: Path) -> bool:
        """Return whether the locked file is the one that is now at ``path``."""
        try:
            return os.path.samestat(os.fstat(self.file), os.stat(path))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        os.close(self.file)
        self.file = -1

    def __del__(self) -> None:
        if self.file >= 0:
            self._close()
