"""Names processes by id and host, as a store on a shared file system needs: other hosts have the same process ids."""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OUTERMOST = "pid:[4026531836]"  # the process namespace of a Linux host itself


@cache
def host_name() -> str:
    """Return the name of this host; inside a container that has its own process ids, with their namespace."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = OUTERMOST
    name = socket.gethostname()
    return name if namespace == OUTERMOST else f"{name}+{namespace.strip('pid:[]')}"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process: its id, and the host that it runs on (empty if it is not known)."""

    pid: int
    host: str

    @classmethod
    def own(cls) -> "ProcessIdentity":
        """Return the identity of this process."""
        return cls(os.getpid(), host_name())

    @property
    def has_ended(self) -> bool:
        """Whether the process was one of this host and does not exist any more."""
        if self.host != host_name():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # another user's
            return False
        return _is_zombie(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.host else f"process {self.pid}"


def _is_zombie(pid: int) -> bool:
    """Return whether the process was killed and only its parent has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return False
