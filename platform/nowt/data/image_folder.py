"""Folders of pictures: train/CLASS/* for training, val/CLASS/* (or test/CLASS/*) for the test pictures."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data import cache, manifest
from nowt.data.decode import EXTENSIONS
from nowt.data.images import Files, Found, digest_of

LAYOUT = "train/CLASS/*.jpg and val/CLASS/*.jpg"

BUCKET = "nowt-bucket"  # in the home of a node of cluster.yaml, by node.sh: where its pictures come from


def root_of(config: DataConfig, placement: Placement, layout: str) -> Path:
    """The folder of the pictures. Raises DataError where none is given or it is not there."""
    if not placement.data:
        raise DataError(
            f"no folder of pictures is given: name the one that holds {layout} with --data-dir, for {config.name}"
        )
    root = Path(placement.data)
    if not root.is_dir():
        raise DataError(f"{root} is no folder: --data-dir must name the one that holds {layout}{_again()}")
    return root


def _again() -> str:
    """On a node whose pictures come from a bucket: how to bring them once more."""
    bucket = Path.home() / BUCKET
    if not bucket.is_file():
        return ""
    command = f"rm -f ~/data/.complete; bash ~/nowt/platform/clusters/aws/node.sh {bucket.read_text().strip()}"
    return f"; to bring it to this node, {socket.gethostname()}: {command}"


def read(config: DataConfig, placement: Placement, size: int) -> Found:
    """Every picture under the root, by class. Raises DataError naming the folder or file that is wrong."""
    root = root_of(config, placement, LAYOUT)
    tests = ["val"] if config.name == "imagenet" else ["val", "test"]
    prepared = manifest.read(root)
    train, test, train_classes = prepared or _listed(root, tests)
    skipped: dict[str, str] = {}
    if config.on_bad == "skip" and not prepared:  # what is listed was whole
        skipped = {**cache.broken(train, placement), **cache.broken(test, placement)}
        train, test = (_without(files, skipped, train_classes) for files in (train, test))
    content = digest_of(train.digest(), test.digest(), sorted(skipped))
    names = tuple(f"{name}: {reason}" for name, reason in sorted(skipped.items()))
    return Found(train, test, len(train_classes), content, names)


def _listed(root: Path, tests: list[str]) -> tuple[Files, Files, list[str]]:
    """Training and test pictures and classes, as the folder has them."""
    classes = _classes(root, "train")
    test_folder = _one_of(root, tests)
    _same_classes(root, test_folder, classes, _classes(root, test_folder))
    train, test = (_files(root, part, classes) for part in ("train", test_folder))
    return train, test, classes


def _one_of(root: Path, names: list[str]) -> str:
    """The folder of the test pictures: the one of ``names`` that is there."""
    there = [name for name in names if (root / name).is_dir()]
    if not there:
        raise DataError(f"{root} has no folder {' or '.join(names)} for the test pictures; expected {LAYOUT}")
    if len(there) > 1:
        raise DataError(
            f"{root} has both val and test: one holds the test pictures, and validation pictures"
            " are cut from train; move the other away"
        )
    return there[0]


def _classes(root: Path, part: str) -> list[str]:
    """The classes of one part: the names of its folders, sorted; a class's label is its place among them."""
    if not (root / part).is_dir():
        raise DataError(f"{root} has no folder {part}; expected {LAYOUT}{_again()}")
    classes = sorted(e.name for e in os.scandir(root / part) if e.is_dir() and not e.name.startswith("."))
    if len(classes) < 2:
        raise DataError(f"{root / part} has {len(classes)} class folders; expected two or more: {LAYOUT}")
    return classes


def _same_classes(root: Path, test: str, train_classes: list[str], test_classes: list[str]) -> None:
    parts = (("train", train_classes, test_classes), (test, test_classes, train_classes))
    only = [f"only in {part}: {_some(set(mine) - set(other))}" for part, mine, other in parts if set(mine) - set(other)]
    if only:
        raise DataError(f"{root}/train and {root}/{test} hold different classes; {'; '.join(only)}")


def _some(names: set[str], most: int = 5) -> str:
    shown = sorted(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _files(root: Path, part: str, classes: list[str]) -> Files:
    """The pictures of one part, class by class, sorted by name."""
    names: list[str] = []
    sizes: list[int] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(_pictures(root, f"{part}/{name}"))
        if not found:
            raise DataError(f"{root}/{part}/{name} holds no pictures ({', '.join(EXTENSIONS)}); expected {LAYOUT}")
        names += [path for path, _ in found]
        sizes += [size for _, size in found]
        labels += [label] * len(found)
    return Files(root, names, np.array(sizes), np.array(labels))


def _pictures(root: Path, folder: str) -> Iterator[tuple[str, int]]:
    """Name relative to the root and size in bytes of each picture in the folder and those below it."""
    for entry in os.scandir(root / folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _pictures(root, f"{folder}/{entry.name}")
        elif entry.name.lower().endswith(EXTENSIONS):
            yield f"{folder}/{entry.name}", _size(entry)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error.strerror}") from error


def _without(files: Files, skipped: dict[str, str], classes: list[str]) -> Files:
    """The files without the skipped ones. Raises DataError where a class has none left."""
    left = files.take(np.array([i for i, name in enumerate(files.names) if name not in skipped], np.int64))
    empty = set(range(len(classes))) - set(left.labels.tolist())
    if empty:
        folder = Path(files.root, files.names[0]).parts[len(files.root.parts)]
        raise DataError(f"{files.root}/{folder}/{classes[min(empty)]} holds no picture that can be read")
    return left
