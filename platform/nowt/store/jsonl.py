"""Files of JSON lines, whose last line a crash may leave incomplete."""

import json
import os
from pathlib import Path
from typing import Any

from nowt.store.files import sync_folder


def complete_lines(path: Path) -> list[bytes]:
    """Return the lines of the file, without an incomplete last line. Only a line feed ends a line: text may contain
    other separators, such as U+2028."""
    return complete_part(path).split(b"\n")[:-1]


def parse_line(line: bytes) -> Any:
    """Return the JSON value of a line. Raises ValueError if it is not JSON, or not UTF-8."""
    try:
        return json.loads(line.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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


def append_line(path: Path, line: str) -> None:
    """Append one line of text, without its line feed, to the file, which is created if it is missing. It is on disk
    when this returns."""
    with path.open("a", encoding="utf-8") as file:
        new = file.tell() == 0
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_folder(path.parent)
