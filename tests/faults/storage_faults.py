"""Full disks, and databases that are read-only or locked for a while."""

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
    """Mount a disk of 32 MB at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk, and return the file that takes the space."""
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
    """Make a file read-only within the block; for root, who may write any file, through a mount."""
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
    """Lock the database from another connection within the block.

    The driver is stopped when this is called. It continues first, because it may have to finish its own write.
    """
    os.kill(driver, signal.SIGCONT)
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def _mount(*args: str) -> None:
    done = subprocess.run(["mount", *args], capture_output=True, text=True)
    if done.returncode:
        refuse = (
            pytest.fail if os.environ.get("NOWT_FAULTS") else pytest.skip
        )  # do not skip if all faults are requested
        refuse(f"cannot mount: {done.stderr.strip()}")
