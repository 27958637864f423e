"""The images of one node. Ray sends this file to the nodes by value, so it imports nothing from nowt.

Names and sizes of all files are listed: 35 to 70 s for the 1.33 million images of ImageNet. Contents are read for a
limited time, in the same order on every node, so that nodes can be compared by what each of them has read.
"""

import hashlib
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

Files = list[tuple[str, int]]  # name relative to the data folder, and size in bytes


def describe_images(data: str, ignored: Collection[str], seconds: float) -> dict[str, Any]:
    """Return a digest of the names and sizes in each folder, and digests of the contents that were read in ``seconds``.

    ``ignored``: names of files and folders that are left out, in lower case; hidden ones always are. A folder that does
    not exist has no files. A file that cannot be read has the error as its digest.
    """
    root = Path(data).expanduser()
    files = sorted(_files(root, "", ignored)) if root.is_dir() else []
    folders: dict[str, Files] = {}
    for name, size in files:
        folders.setdefault(name.rpartition("/")[0], []).append((name, size))
    return {
        "files": len(files),
        "folders": {
            folder: f"{len(inside)} file{'s' * (len(inside) != 1)}, {_digest(repr(inside).encode())}"
            for folder, inside in folders.items()
        },
        "contents": dict(_contents(root, [name for name, _ in files], seconds)),
    }


def _files(root: Path, folder: str, ignored: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield the name and size of each file below the root; size -1 for a file or folder that is not accessible."""
    try:
        with os.scandir(root / folder) as entries:
            found = [entry for entry in entries if not (entry.name.startswith(".") or entry.name.lower() in ignored)]
    except OSError:
        yield folder or ".", -1
        return
    for entry in found:
        name = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir():
            yield from _files(root, name, ignored)
        else:
            yield name, entry.stat().st_size if os.access(entry.path, os.R_OK) else -1


def _contents(root: Path, names: list[str], seconds: float) -> Iterator[tuple[str, str]]:
    """Yield name and digest of the files in a random order that depends on their names alone, until the time is up."""
    end = time.monotonic() + seconds
    for name in sorted(names, key=lambda name: hashlib.blake2b(os.fsencode(name), digest_size=8).digest()):
        if time.monotonic() >= end:
            return
        try:
            yield name, _digest((root / name).read_bytes())
        except OSError as error:
            yield name, error.strerror or type(error).__name__


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
