"""Files of JSON lines, whose last line a crash may leave incomplete."""

import os
from pathlib import Path


def complete_lines(path: Path) -> list[str]:
    """Return the lines of the file, without an incomplete last line."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1].splitlines()


def complete_part(path: Path) -> bytes:
    """Return the bytes of the file, without an incomplete last line."""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def drop_incomplete_line(path: Path) -> None:
    """Truncate the file before an incomplete last line."""
    complete = len(complete_part(path))
    if complete < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(complete)
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the folder's entries to disk, so that a file created in it survives a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
