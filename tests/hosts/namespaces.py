"""A process 1 with namespaces of its own, and what runs beside it there."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INIT = [sys.executable, str(Path(__file__).with_name("init.py"))]


class Space:
    """Namespaces that live as long as their process 1, which ends with this process at the latest."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said == "ready\n", f"{' '.join(command)} did not start: {said}"
        self.pid = youngest(self.process.pid)

    def enter(self, *kinds: str) -> list[str]:
        """The words that make a command run in these namespaces of it (net, mount, pid, uts, ipc)."""
        return ["nsenter", "--target", str(self.pid), *(f"--{kind}" for kind in kinds)]

    def close(self) -> None:
        """Kill all that is in it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def youngest(pid: int) -> int:
    """The last of a row of only children: nsenter and unshare each start the next and wait for it."""
    while children := children_of(pid):
        (pid,) = children
    return pid


def children_of(pid: int) -> list[int]:
    """The processes that ``pid`` has started and not yet seen end."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(words[1]) == pid:
            found.append(int(path.parent.name))
    return found


def processes_in(pid: int) -> dict[int, str]:
    """The command of each process that shares the process namespace of ``pid``, by its number here."""
    space, found = os.readlink(f"/proc/{pid}/ns/pid"), {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns" / "pid") == space:
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found[int(path.name)] = words
        except OSError:  # it ended meanwhile
            continue
    return found
