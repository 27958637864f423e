"""Checks that a study leaves nothing behind: no process, no temporary file, no scratch folder of Ray Tune."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.support.small_studies import wait_for

TIMEOUT = 120  # seconds, for what takes a few on an idle machine

STUDY_TIMEOUT = 600  # seconds, for a complete study, which takes up to two minutes


def processes(folder: Path, ignore: str = "") -> dict[int, str]:
    """Return the living processes that run in ``folder``, except those whose command contains ``ignore``."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = os.readlink(process / "cwd") == str(folder.resolve())
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if here and command and not (ignore and ignore in command):
            found[int(process.name)] = command
    return found


def children(parent: int) -> list[int]:
    """Return the child processes of ``parent``."""
    return [int(pid) for task in Path(f"/proc/{parent}/task").glob("*") for pid in _text(task / "children").split()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def wait_until_no_process(folder: Path, ignore: str = "", seconds: float = TIMEOUT) -> float:
    """Wait until no process runs in the folder; return the seconds that took."""
    began = time.monotonic()
    wait_for(lambda: not processes(folder, ignore), seconds, f"the end of {processes(folder, ignore)}")
    return time.monotonic() - began


def kill_processes(folder: Path) -> None:
    """Kill what still runs in the folder, except Ray's agents, which end by themselves."""
    for pid in processes(folder, ignore="Agent"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def temporary_files(store: Path) -> list[str]:
    """Return the files and folders in the store that only a running study has."""
    found = [
        *store.glob(".tune/*"),
        *store.glob(".train/*"),
        *store.rglob("*.tmp*"),
        *store.glob(".mlflow-*"),
        *store.rglob("*-journal"),
    ]
    return sorted(str(path.relative_to(store)) for path in found)
