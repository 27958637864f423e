"""Whether a folder can be written to, found out without leaving anything in it."""

import os
import tempfile
from pathlib import Path

from nowt.errors import require


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
