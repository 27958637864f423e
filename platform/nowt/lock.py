"""One process drives a study at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nowt.errors import ConfigError


@contextmanager
def held(store: Path, name: str) -> Iterator[None]:
    """Hold the study in its store, until the block or the process ends. Raises ConfigError where another does."""
    folder = store / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+") as file:
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
