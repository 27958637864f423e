"""Files and folders that their owner alone can read."""

import os
from pathlib import Path


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
