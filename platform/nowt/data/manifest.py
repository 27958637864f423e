"""A list of the pictures in a folder, kept in it: names, sizes and classes without looking at 1.3 million files again.

It says what listing the folder would say, so a run has the same fingerprint, and the same key, with it and without.
"""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from nowt.core.errors import DataError
from nowt.data.images import Files
from nowt.data.subsets import Ints
from nowt.store.files import write_atomically

NAME = "pictures.tsv"  # a line of JSON about the rest, then one line a picture: name, tab, bytes

VERSION = 1

Listed = list[tuple[str, int]]  # a picture's name relative to the folder, and its size in bytes


def write(root: Path, train: Listed, val: Listed, **facts: object) -> Path:
    """Write the list, whole or not at all; ``facts`` are kept in its head. Raises DataError where classes differ."""
    counts = [Counter(name.split("/", 2)[1] for name, _ in part) for part in (train, val)]
    classes = sorted(counts[0])
    if classes != sorted(counts[1]):
        other = sorted(set(classes) ^ set(counts[1]))[0]
        raise DataError(f"{root}/train and {root}/val hold different classes: {other} is in one of them only")
    body = "".join(f"{name}\t{size}\n" for name, size in sorted(train) + sorted(val)).encode()
    pictures = {name: [counts[0][name], counts[1][name]] for name in classes}
    head = {"nowt_pictures": VERSION, "sha256": _digest(body), **facts, "classes": pictures}
    write_atomically(root / NAME, json.dumps(head).encode() + b"\n" + body, durable=True)
    return root / NAME


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
    files = _parts(root, body, np.array(list(head["classes"].values())))
    _check(path, files, list(head["classes"]))
    return *files, list(head["classes"])


def _parts(root: Path, body: bytes, counts: Ints) -> tuple[Files, Files]:
    """The two parts; ``counts``: pictures of each class in each, (classes, 2)."""
    words = body.decode().replace("\t", "\n").split("\n")  # all at once: a loop over lines takes ten times as long
    names, sizes = words[:-1:2], np.array(list(map(int, words[1::2])), np.int64)
    train = int(counts[:, 0].sum())
    labels = [np.repeat(np.arange(len(counts)), counts[:, part]) for part in (0, 1)]
    first = Files(root, names[:train], sizes[:train], labels[0])
    return first, Files(root, names[train:], sizes[train:], labels[1])


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


def _borders(part: Files) -> Ints:
    """Where the next class begins."""
    return np.flatnonzero(np.diff(part.labels)) + 1


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
