"""Atomic writes, private files, and copies of databases that are in use."""

import errno
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nowt.core.errors import AccessError, ConfigError, UserError, naming, require
from nowt.store.temporary_files import temporary_path

LARGEST_READ = 2 * 2**30  # bytes


def write_atomically(path: Path, data: str | bytes, *, durable: bool, private: bool = False) -> None:
    """Write ``data`` (text as UTF-8) to ``path`` by a rename, so that readers see all of it or nothing.

    With ``durable`` the data and the new name are on disk when this returns, so that they also survive a power failure.
    With ``private`` only the owner may read the file, from its first byte on. Parent folders are created.
    """
    make_folder(path.parent)
    temporary = temporary_path(path)
    temporary.unlink(missing_ok=True)
    try:
        with (
            naming(path),
            open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "wb") as file,
        ):
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Create the folder and its parents, if they are missing, so that they survive a power failure."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def move_new(source: Path, target: Path) -> bool:
    """Move a file, unless ``target`` exists by then. Return whether it was moved; its new name is then on disk."""
    make_folder(target.parent)
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if target.exists():
            return False
        source.replace(target)
    else:
        source.unlink()
    sync_folder(target.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Flush the folder's entries to disk, so that a file created in it survives a power failure. File systems that
    cannot do that, such as CIFS, do it themselves or not at all."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def read_plain_file(path: Path, limit: int = LARGEST_READ) -> bytes:
    """Return the content of a file.

    Raises ConfigError if it is a pipe or another thing that has no end, or has more than ``limit`` bytes (default:
    2 GiB), OSError if it cannot be read.
    """
    require(stat.S_ISREG(path.stat().st_mode), f"{path} is not a file: move it out of the store")
    # a pipe that takes its place meanwhile, and that has no writer, must not be waited for
    with naming(path), open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        require(stat.S_ISREG(found.st_mode), f"{path} is not a file: move it out of the store")
        require(found.st_size <= limit, f"{path} is larger than any file that nowt writes: move it out of the store")
        return file.read()


def open_unlinked(path: Path) -> int:
    """Open a file for reading and writing, create it if it is missing, and return its descriptor.

    Raises ConfigError for a link: a store of somebody else could name any file by it, which would then be changed.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ConfigError(f"{path} is a link: delete it, or replace it with a copy of the file") from None


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, even while others write to it.

    Raises ValueError for a file that is not a database, OSError if it stays locked.
    """
    with _copied(source, target) as copy:
        copy.replace(target)


def copy_new_database(source: Path, target: Path) -> bool:
    """Copy a database as ``copy_database`` does, unless ``target`` exists by then. Return whether it was copied."""
    with _copied(source, target) as copy:
        return move_new(copy, target)


@contextmanager
def _copied(source: Path, target: Path) -> Iterator[Path]:
    """Yield a copy of the database ``source`` in the folder of ``target``; it is deleted afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(target)
    temporary.unlink(missing_ok=True)
    try:
        _back_up(source, temporary)
        yield temporary
    except sqlite3.OperationalError as error:
        raise AccessError(
            f"{source} cannot be copied ({error}): close the program that locks it, then try again"
        ) from None
    except sqlite3.DatabaseError as error:
        raise UserError(f"{source} is not a database ({error}): move it out of the store") from None
    finally:
        temporary.unlink(missing_ok=True)


def _back_up(source: Path, target: Path) -> None:
    """Write the content of one database to another."""
    try:
        _read_into(source, target)
    except sqlite3.OperationalError:
        if os.access(source.parent, os.W_OK, effective_ids=True):
            raise
        with tempfile.TemporaryDirectory(prefix="nowt-") as folder:  # SQLite writes files beside the ones that it reads
            _read_into(_files_of(source, Path(folder)), target)


def _read_into(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, timeout=20)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # a single file, also where the source has a write-ahead log


def _files_of(source: Path, folder: Path, attempts: int = 20) -> Path:
    """Copy the file of a database and its write-ahead log to ``folder``, and return the copy of the former.

    Raises OSError if another program writes to them all the time.
    """
    for _ in range(attempts):
        parts = [path for path in (source, source.with_name(f"{source.name}-wal")) if path.exists()]
        before = [_stamp(path) for path in parts]
        for path in parts:
            (folder / path.name).write_bytes(path.read_bytes())
        if [_stamp(path) for path in parts] == before:
            return folder / source.name
        time.sleep(0.1)
    raise AccessError(f"{source} cannot be copied: another program writes to it; try again later")


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def private_folder(path: Path) -> Path:
    """Create the folder ``path`` if it is missing, close it to other users, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def read_or_create_private(path: Path, default: str) -> str:
    """Return the text of a private file. If the file is missing, create it with the text ``default``."""
    if not path.exists():
        write_atomically(path, default, durable=True, private=True)
    path.chmod(0o600)
    return path.read_text(encoding="utf-8")


def nearest_existing(folder: Path) -> Path:
    """Return ``folder``, or the nearest of its parents that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if os.path.exists(path))


def write_problem(folder: Path) -> str:
    """Return the reason why ``folder``, which need not exist yet, is not writable; empty if it is."""
    place = nearest_existing(folder)
    if not place.is_dir():
        return f"{place} is a file"
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            file.write(b"x")  # a full disk, or a limit of file sizes, has room for names but not for content
            return ""
    except OSError as error:
        return f"{place} is not writable: {error.strerror or error}"


def check_writable(folder: Path, option: str) -> None:
    """Raise ConfigError, naming the command-line ``option``, if ``folder`` is not writable."""
    problem = write_problem(folder)
    require(not problem, f"{option} is {str(folder)!r} ({problem}): give a writable folder")
