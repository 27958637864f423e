"""File locks: one process runs a study at a time, and one writer appends to an epoch log."""

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from nowt.core.errors import AccessError, ConfigError, naming
from nowt.core.file_systems import network_file_system
from nowt.core.forked_children import ForkGuard, close_in_children
from nowt.core.process_identity import ProcessIdentity, host_name
from nowt.store.files import open_plain_file, open_unlinked
from nowt.store.layout import Store
from nowt.store.links import check_links

PATIENCE_SECONDS = 10.0  # to wait for a lock whose process has ended; a child that still holds it ends after 5 s


def lock_file(file: IO[Any] | int, *, wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file or file descriptor until it is closed. Return whether it is locked.

    It is not if another process has it; with ``wait``, it is locked once that process releases it. Several processes
    can have a ``shared`` lock. Processes that are forked from now on do not inherit the lock. Raises OSError on a file
    system without locks.
    """
    descriptor = file if isinstance(file, int) else file.fileno()
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise AccessError(_no_locks(descriptor)) from error
        raise
    close_in_children(descriptor)
    return True


def _no_locks(descriptor: int) -> str:
    path = Path(f"/proc/self/fd/{descriptor}").resolve()
    kind = network_file_system(path)
    return (
        f"{path} cannot be locked: its file system{f' ({kind})' if kind else ''} has no locks. Mount it with locks "
        "(Lustre: -o flock), or use a folder on another one"
    )


@contextmanager
def study_lock(store: Path, study: str) -> Iterator[None]:
    """Lock ``study`` in its store until the block or the process ends.

    Raises ConfigError if another process has it, and if a folder of the store is a link out of it.
    """
    check_links(store)
    with process_lock(Store(store).lock(study), f"study {study} is already being run"):
        yield


@contextmanager
def process_lock(path: Path, taken: str) -> Iterator[None]:
    """Lock the file at ``path``, which is created, until the block or the process ends.

    Raises ConfigError if another process has it; the message begins with ``taken``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_unlinked(path), "a+", encoding="utf-8") as file:
        if not _lock_patiently(file):
            raise ConfigError(f"{taken} by {_owner(file)}: wait for it, or stop it")
        _sign(file, path)
        yield


@contextmanager
def turn(path: Path, work: str) -> Iterator[None]:
    """Lock the file at ``path``, which is created, until the block or the process ends.

    If another process has it, print one line, which says that this process ``work``, and wait for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_unlinked(path), "a+", encoding="utf-8") as file:
        if not lock_file(file):
            print(f"nowt: waiting for {_owner(file)}, which {work}", file=sys.stderr, flush=True)
            lock_file(file, wait=True)
        _sign(file, path)
        yield


def _lock_patiently(file: IO[str]) -> bool:
    """Lock the file. If the process that signed it has ended, the next one has yet to sign, or it is about to be free:
    wait for that."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not lock_file(file):
        signed = _signature(file)
        if signed is None or not signed.has_ended or time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _sign(file: IO[str], path: Path) -> None:
    """Write to the locked file at ``path`` which process has it."""
    own = ProcessIdentity.own()
    with naming(path):
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), f"{own.pid} {own.host}".encode(), 0)  # without a buffer, which closing would write


def _signature(file: IO[str]) -> ProcessIdentity | None:
    """Return the process that has signed the file; None if it says nothing."""
    file.seek(0)
    pid, _, host = file.read().strip().partition(" ")
    return ProcessIdentity(int(pid), host) if pid.isdecimal() else None


def _owner(file: IO[str]) -> str:
    signed = _signature(file)
    return _describe(os.fstat(file.fileno())) if signed is None or signed.has_ended else str(signed)


def describe_holder(path: Path) -> str:
    """Return which process has locked the file at ``path``, such as ``process 12 on HOST``; ``another process`` if
    Linux does not say, as for a file that another host has locked."""
    return _describe(path.stat())


def _describe(file: os.stat_result) -> str:
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    except OSError:
        return "another process"
    found = [ProcessIdentity(int(lock[4]), host_name()) for lock in locks if lock[1] == "FLOCK" and lock[5] == place]
    alive = [process for process in found if process.pid > 0 and not process.has_ended]
    return str(alive[0]) if alive else "another process"


class LogInUse(Exception):
    """Another process, or another study in this process, is writing the log."""


def is_locked(path: Path) -> bool:
    """Return whether a writer has locked the log at ``path``."""
    with open_plain_file(path) as file:
        return not lock_file(file, shared=True)


class LogLock:
    """Locks a log for one writer until the object is deleted or its process ends. Raises LogInUse.

    ``guard`` ends a forked child, which does not have the lock: check it before each write.
    """

    file = -1  # until it is open

    def __init__(self, path: Path) -> None:
        self.guard = ForkGuard()
        while True:
            self.file = open_unlinked(path)
            self.opened = os.fstat(self.file)
            self._lock(path)
            if self._is_at(path):
                return
            self._close()  # ``nowt merge`` has replaced the log meanwhile: the lock is that of the old file

    def _lock(self, path: Path) -> None:
        for wait in (0.02, 0.02, 0.0):  # ``is_locked`` itself locks the log for a moment
            if lock_file(self.file):
                return
            time.sleep(wait)
        raise LogInUse(path.stem)

    def _is_at(self, path: Path) -> bool:
        """Return whether the locked file is the one that is now at ``path``."""
        try:
            return os.path.samestat(os.fstat(self.file), os.stat(path))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        """Close the file, unless other code has done so: its descriptor may be that of another file by now."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.file), self.opened):
                os.close(self.file)
        self.file = -1

    def __del__(self) -> None:
        if self.file >= 0:
            self._close()
