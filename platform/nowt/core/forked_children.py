"""Files and sockets that forked children must not hold open.

A lock lasts as long as any process has its file open, and the connection to a server as long as any process has its
socket open. A forked child, such as a process that decodes images, inherits both, and may outlive this process.
"""

import os

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
