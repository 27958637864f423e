"""Files that are written whole or not at all, and databases that are copied while they are in use."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from nowt.core.errors import require


def write_whole(path: Path, data: bytes) -> None:
    """Write ``path`` under a temporary name, to the disk, and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def whole_part(path: Path) -> bytes:
    """The lines of ``path`` without a last one that is not finished yet, or never will be."""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, whoever writes to it meanwhile. Raises ValueError for a file that
    is none, OSError where it stays locked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.tmp{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, timeout=20)) as live,
            closing(sqlite3.connect(temporary)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, whatever the live one is
    except sqlite3.OperationalError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{source} cannot be copied ({error}): free it and try again") from None
    except sqlite3.DatabaseError as error:
        temporary.unlink(missing_ok=True)
        raise ValueError(f"{source} is no database ({error}): move it away") from None
    temporary.replace(target)


def private_folder(path: Path) -> Path:
    """``path``, made where it is missing, closed to others in any case."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a whole file or nothing, readable by its owner alone from its first byte on."""
    temporary = path.with_name(f".{path.name}.tmp{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def kept(path: Path, made: str) -> str:
    """The text of a private file; the first time it is ``made``, and stays."""
    if not path.exists():
        write_private(path, made)
    path.chmod(0o600)
    return path.read_text(encoding="utf-8")


def existing(folder: Path) -> Path:
    """``folder``, or the nearest above it that is there."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if os.path.exists(path))


def problem_of(folder: Path) -> str:
    """Why nothing can be written into ``folder``, which need not exist yet; empty where it can."""
    place = existing(folder)
    if not place.is_dir():
        return f"{place} is a file"
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f"nothing can be written in {place}: {error.strerror or error}"


def check_writable(folder: Path, option: str) -> None:
    """Raise ConfigError, naming the command line's ``option``, where nothing can be written into ``folder``."""
    problem = problem_of(folder)
    require(not problem, f"{option} is {str(folder)!r} ({problem}): give a folder that can be written to")


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
