"""Forked children: the files and sockets that they must not hold open, and the work that they must not do again.

A lock lasts as long as any process has its file open, and the connection to a server as long as any process has its
socket open. A forked child, such as a process that decodes images, inherits both, and may outlive this process. A child
that custom code forks, and that returns from it, would do the rest of this process's work a second time, without its
locks.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_Identity = tuple[int, int]

_registered: dict[int, _Identity] = {}  # by descriptor


def close_in_children(descriptor: int) -> None:
    """Have children that are forked from now on close the open file or socket ``descriptor``."""
    if (found := _identity(descriptor)) is not None:
        _registered[descriptor] = found


def _identity(descriptor: int) -> _Identity | None:
    try:
        stat = os.fstat(descriptor)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _close_registered() -> None:
    """Replace the registered files by the null device, so that their Python objects stay valid in the child. A
    descriptor that has been closed since, and may now be that of another file, is left alone."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor, registered in _registered.items():
        if _identity(descriptor) == registered:
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    _registered.clear()


os.register_at_fork(after_in_child=_close_registered)


@dataclass(frozen=True)
class ForkGuard:
    """Ends any child of the process that created it, with one line on stderr, before the child does the process's work.

    As a context manager, it does so at the end of the block, before any error of the child is handled.
    """

    process: int = field(default_factory=os.getpid)

    def check(self) -> None:
        """End this process at once if it is such a child."""
        if (child := os.getpid()) == self.process:
            return
        line = (
            f"nowt: custom code has forked process {child}, which would repeat the work of process {self.process}: it "
            "is ended; end a forked child with os._exit\n"
        )
        with suppress(OSError):
            os.write(2, line.encode())
        os._exit(1)

    def before(self, call: Callable[[], bool]) -> Callable[[], bool]:
        """Return a function that checks, then returns what ``call`` does."""

        def checked() -> bool:
            self.check()
            return call()

        return checked

    def __enter__(self) -> None:
        self.check()

    def __exit__(self, *_: object) -> None:
        self.check()
