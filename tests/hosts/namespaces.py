"""New Linux namespaces with their process 1, and the processes inside them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INIT = [sys.executable, str(Path(__file__).with_name("init_process.py"))]


class Namespaces:
    """Namespaces that exist as long as their process 1, which exits no later than the test process."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", f"{' '.join(command)} did not start: {line}"
        self.pid = innermost_child(self.process.pid)

    def enter(self, *kinds: str) -> list[str]:
        """The command prefix that runs a command in these namespaces (net, mount, pid, uts, ipc)."""
        return ["nsenter", "--target", str(self.pid), *(f"--{kind}" for kind in kinds)]

    def close(self) -> None:
        """Kill all processes in the namespaces."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def innermost_child(pid: int) -> int:
    """The last process of a chain in which each has one child: nsenter and unshare start a command and wait for it."""
    while children := children_of(pid):
        (pid,) = children
    return pid


def children_of(pid: int) -> list[int]:
    """The child processes of ``pid``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # the process has exited
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def processes_in(pid: int) -> dict[int, str]:
    """The command of each process in the PID namespace of ``pid``, by its process ID outside."""
    namespace, found = os.readlink(f"/proc/{pid}/ns/pid"), {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns" / "pid") == namespace:
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found[int(path.name)] = command
        except OSError:  # the process has exited
            continue
    return found
