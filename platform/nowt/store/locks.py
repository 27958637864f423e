"""One process drives a study at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nowt.core.errors import ConfigError
from nowt.store.layout import Store


@contextmanager
def held(store: Path, name: str) -> Iterator[None]:
    """Hold the study in its store, until the block or the process ends. Raises ConfigError where another does."""
    path = Store(store).lock(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ConfigError(
                f"study {name} is already being run by process {owner}: wait for it, or stop it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class HeldElsewhere(Exception):
    """Another process, or another study in this one, is writing the run's log."""


def is_held(path: Path) -> bool:
    """Whether a writer holds the log now."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Hold:
    """A log that is locked for one writer, from now until the object goes, however its process ends."""

    file = -1  # until it is open

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        for wait in (0.02, 0.02, 0.0):  # whoever asks whether it is held holds it for a moment
            try:
                return fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(wait)
        raise HeldElsewhere(path.stem)

    def __del__(self) -> None:
        if self.file >= 0:
            os.close(self.file)
