"""A list of the pictures in a folder, kept in it: names, sizes and classes without looking at 1.3 million files again.

It says what listing the folder would say, so a run has the same fingerprint, and the same key, with it and without.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nowt.data.errors import DataError
from nowt.data.pictures import Files

NAME = "pictures.tsv"  # a line of JSON about the rest, then one line a picture: name, tab, bytes
VERSION = 1

Listed = list[tuple[str, int]]  # a picture's name relative to the folder, and its size in bytes


def write(root: Path, train: Listed, val: Listed, **facts: object) -> Path:
    """Write the list, whole or not at all; ``facts`` are kept in its head."""
    body = "".join(f"{name}\t{size}\n" for name, size in sorted(train) + sorted(val)).encode()
    head = {"nowt_pictures": VERSION, "train": len(train), "val": len(val), "sha256": _digest(body), **facts}
    temporary = root / f"{NAME}.tmp"
    with temporary.open("wb") as file:
        file.write(json.dumps(head).encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    return temporary.replace(root / NAME)


def read(root: Path) -> tuple[Files, Files, list[str]] | None:
    """The training and test pictures and the classes that the folder's list names; None where it has no list.

    Raises DataError where the list is damaged, or where a class or the size of one of its pictures is not as listed.
    """
    path = root / NAME
    if not path.exists():
        return None
    first, _, body = path.read_bytes().partition(b"\n")
    try:
        head = json.loads(first)
        whole = head["nowt_pictures"] == VERSION and head["sha256"] == _digest(body)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(f"{path} is damaged: run nowt data prepare again, or delete it to list the folder instead")
    rows = [line.split("\t") for line in body.decode().splitlines()]
    train, val = rows[: head["train"]], rows[head["train"] :]
    classes = sorted({_class_of(row[0]) for row in train})
    files = _files(root, train, classes), _files(root, val, classes)
    _check(path, files, classes)
    return *files, classes


def _files(root: Path, rows: Iterable[list[str]], classes: list[str]) -> Files:
    names, sizes = map(list, zip(*rows, strict=True))
    numbers = {name: label for label, name in enumerate(classes)}
    return Files(root, names, np.array(sizes, np.int64), np.array([numbers[_class_of(name)] for name in names]))


def _class_of(name: str) -> str:
    return name.split("/", 2)[1]


def _check(path: Path, files: tuple[Files, Files], classes: list[str]) -> None:
    """One picture of each class is looked at: enough to see that the folder is not the one that was listed."""
    for part in files:
        middles = [places[len(places) // 2] for places in np.split(np.arange(len(part.names)), _borders(part))]
        for i in middles:
            picture = part.root / part.names[i]
            if not picture.is_file() or picture.stat().st_size != part.sizes[i]:
                raise DataError(
                    f"{picture} is not there, or not as {path} says: run nowt data prepare again, or delete "
                    f"{path.name} to list the folder instead"
                )
        folder = part.root / part.names[0].partition("/")[0]
        there = {entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")}
        if there != set(classes):
            other = sorted(there ^ set(classes))[0]
            raise DataError(
                f"{folder / other} is not as {path} says: run nowt data prepare again, or delete {path.name}"
            )


def _borders(part: Files) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where the next class begins."""
    return np.flatnonzero(np.diff(part.labels)) + 1


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
