"""What a study must not leave behind: processes, temporary files, Ray Tune's scratch."""

import os
import time
from pathlib import Path

from tests.support.small_studies import wait_for

PATIENCE = 120  # seconds for anything that takes a few on an idle machine

WHOLE = 600  # and for a whole study, which takes up to two minutes there


def processes(folder: Path, but: str = "") -> dict[int, str]:
    """The living processes that work in ``folder``, zombies aside; ``but`` those with that word in their command."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = os.readlink(process / "cwd") == str(folder.resolve())
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if here and words and not (but and but in words):
            found[int(process.name)] = words
    return found


def children(parent: int) -> list[int]:
    """The processes that ``parent`` started."""
    return [int(word) for task in Path(f"/proc/{parent}/task").glob("*") for word in _text(task / "children").split()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""


def no_process(folder: Path, but: str = "", seconds: float = PATIENCE) -> float:
    """Wait until the folder's last process is gone; the seconds that took."""
    began = time.monotonic()
    wait_for(lambda: not processes(folder, but), seconds, f"the end of {processes(folder, but)}")
    return time.monotonic() - began


def temporary_files(store: Path) -> list[str]:
    """Files and folders in the store that only a study under way has."""
    found = [
        *store.glob(".tune/*"),
        *store.glob(".train/*"),
        *store.rglob("*.tmp*"),
        *store.glob(".mlflow-*"),
        *store.rglob("*-journal"),
    ]
    return sorted(str(path.relative_to(store)) for path in found)
