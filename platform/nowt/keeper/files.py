"""Files that are written whole or not at all, and databases that are copied while they are in use."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path


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
