"""SQLite's files: checks before one is opened, and copies of databases, also of those in use or of somebody else."""

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nowt.core.errors import AccessError, UserError, require
from nowt.store.files import copy_plain_file, move_new, open_plain_file
from nowt.store.temporary_files import temporary_path

JOURNAL_END = bytes.fromhex("d9d505f920a163d7")  # of a rollback journal that names another one

BESIDE = ("-wal", "-journal")  # files with a part of the database's content

SECONDS = 20.0  # to wait for a lock


def check_database(path: Path) -> None:
    """Raise ConfigError if SQLite must not open the database at ``path``, which need not exist.

    SQLite follows links, waits for a pipe, and rolls back a journal that it finds. If that journal names another file,
    SQLite deletes this file, wherever it is.
    """
    for suffix in ("", *BESIDE, "-shm"):
        _check_plain(path.with_name(path.name + suffix))
    journal = path.with_name(f"{path.name}-journal")
    require(
        not journal.exists() or _last_bytes(journal) != JOURNAL_END,
        f"{journal} names another file, which SQLite would delete: delete this journal if you did not write it",
    )


def _check_plain(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    require(not stat.S_ISLNK(mode), f"{path} is a link: replace it with a copy of the file")
    require(stat.S_ISREG(mode), f"{path} is not a file: move it out of the store")


def _last_bytes(path: Path) -> bytes:
    with open_plain_file(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(JOURNAL_END)))
        return file.read()


@contextmanager
def open_sqlite(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Open the database at ``path`` until the end of the block, after ``check_database``.

    ``mode`` is SQLite's: ``rw`` (default), ``ro``, or ``rwc`` to create a missing database. Raises sqlite3.Error.
    """
    check_database(path)
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=SECONDS)) as connection:
        yield connection


def copy_database(source: Path, target: Path) -> None:
    """Copy a database of this store as it is at one moment, even while others write to it.

    Raises ValueError for a file that is not a database, OSError if it stays locked.
    """
    with _copied(source, target, _back_up) as copy:
        copy.replace(target)


def copy_foreign_database(source: Path, target: Path) -> None:
    """Copy a database that somebody else may have written. SQLite opens only a copy of its files.

    Raises ValueError for a file that is not a database, OSError if another program writes to it all the time.
    """
    with _copied(source, target, _back_up_files) as copy:
        copy.replace(target)


def copy_new_database(source: Path, target: Path) -> bool:
    """Copy a database as ``copy_foreign_database`` does, unless ``target`` exists by then. Return whether it was
    copied."""
    with _copied(source, target, _back_up_files) as copy:
        return move_new(copy, target)


@contextmanager
def _copied(source: Path, target: Path, back_up: Callable[[Path, Path], None]) -> Iterator[Path]:
    """Yield a copy of the database ``source`` in the folder of ``target``; it is deleted afterwards."""
    check_database(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(target)
    temporary.unlink(missing_ok=True)
    try:
        back_up(source, temporary)
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
        _back_up_files(source, target)  # SQLite writes files beside the ones that it reads


def _back_up_files(source: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nowt-") as folder:
        _read_into(_files_of(source, Path(folder)), target)


def schema_fault(path: Path) -> str:
    """Return the reason if the schema of the database at ``path`` is not of plain tables and indexes only; else empty.

    A view could compute without end, and a trigger could change what is written later.
    """
    unusual = "type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
    try:
        with open_sqlite(path, "ro") as connection:
            row = connection.execute(f"SELECT type, name FROM sqlite_master WHERE {unusual}").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return f"it has the {row[0]} {str(row[1])!r}, which Optuna does not create" if row else ""


def _read_into(source: Path, target: Path) -> None:
    with open_sqlite(source) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # a single file, also where the source has a write-ahead log


def _files_of(source: Path, folder: Path, attempts: int = 20) -> Path:
    """Copy the file of a database and its logs to ``folder``, and return the copy of the former.

    Raises OSError if another program writes to them all the time.
    """
    for _ in range(attempts):
        before = _stamps(source)
        for path in before:
            copy_plain_file(path, folder / path.name)
        if _stamps(source) == before:
            return folder / source.name
        for path in before:
            (folder / path.name).unlink()
        time.sleep(0.1)
    raise AccessError(f"{source} cannot be copied: another program writes to it; try again later")


def _stamps(source: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of change of the database's files, by path."""
    paths = (source.with_name(source.name + suffix) for suffix in ("", *BESIDE))
    return {path: _stamp(path) for path in paths if path.exists()}


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
