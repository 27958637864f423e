"""Disks and databases that cannot be written, for a while."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 32 MB mounted at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free; the file that takes them."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return path


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """A file that nobody may write; for root, whom no mode holds back, through a mount."""
    if os.geteuid():
        path.chmod(0o444)
    else:
        _mount("--bind", str(path), str(path))
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
    try:
        yield
    finally:
        if os.geteuid():
            path.chmod(0o644)
        else:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def lock(path: Path, driver: int) -> Iterator[None]:
    """Another writer in the database, who takes his time. The driver, stopped now, may have to end its own write."""
    os.kill(driver, signal.SIGCONT)
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        refuse = pytest.fail if os.environ.get("NOWT_FAULTS") else pytest.skip  # who asks for all faults gets all
        refuse(f"nothing can be mounted here: {done.stderr.strip()}")
