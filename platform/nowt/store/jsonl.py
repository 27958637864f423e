"""Files of lines, the last of which a crash may cut short."""

import os
from pathlib import Path


def complete_lines(path: Path) -> list[str]:
    """The file's lines without a last one that a crash cut short."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1].splitlines()


def complete_part(path: Path) -> bytes:
    """The bytes of the file's complete lines."""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash left unfinished."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """See that a file made in the folder is there after a power cut, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
