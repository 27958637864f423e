"""File locks: one process runs a study at a time, and one writer appends to an epoch log."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nowt.core.errors import ConfigError
from nowt.store.files import open_unlinked
from nowt.store.layout import Store


def lock_file(file: IO[Any] | int, *, wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file or file descriptor until it is closed. Return whether it is locked.

    It is not if another process has it; with ``wait``, it is locked once that process releases it. Several processes
    can have a ``shared`` lock.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


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
    with os.fdopen(open_unlinked(path), "a+") as file:
        if not lock_file(file):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ConfigError(f"{taken} by process {owner}: wait for it, or stop it")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def turn(path: Path, work: str) -> Iterator[None]:
    """Lock the file at ``path``, which is created, until the block or the process ends.

    If another process has it, print one line, which says that this process ``work``, and wait for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_unlinked(path), "a+") as file:
        if not lock_file(file):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            print(f"nowt: waiting for process {owner}, which {work}", file=sys.stderr, flush=True)
            lock_file(file, wait=True)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class LogInUse(Exception):
    """Another process, or another study in this process, is writing the log."""


def is_locked(path: Path) -> bool:
    """Return whether a writer has locked the log at ``path``."""
    with path.open("rb") as file:
        return not lock_file(file, shared=True)


class LogLock:
    """Locks a log for one writer until the object is deleted or its process ends. Raises LogInUse."""

    file = -1  # until it is open

    def __init__(self, path: Path) -> None:
        while True:
            self.file = open_unlinked(path)
            self._lock(path)
            if self._is_at(path):
                return
            self._close()  # ``nowt merge`` has replaced the log meanwhile: the lock is that of the old file

    def _lock(self, path: Path) -> None:
        for wait in (0.02, 0.02, 0.0):  # ``is_locked`` itself locks the log for a moment
            if lock_file(self.file):
                return
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
