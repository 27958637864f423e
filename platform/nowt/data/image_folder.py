"""Reads image folders: train/CLASS/* are the training images, val/CLASS/* (or test/CLASS/*) the test images."""

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
from nowt.data.images import ImageFiles, RawDataset, digest_of

LAYOUT = "train/CLASS/*.jpg and val/CLASS/*.jpg"

BUCKET_FILE = "nowt-bucket"  # written by node.sh in the home of a cluster node: the bucket of its images


def root_of(config: DataConfig, placement: Placement, layout: str) -> Path:
    """Return the data folder. Raises DataError if none is given or it does not exist."""
    if not placement.data:
        raise DataError(f"no data folder is given: {config.name} needs --data-dir, the folder that contains {layout}")
    root = Path(placement.data)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: --data-dir must be the folder that contains {layout}{_how_to_copy()}")
    return root


def _how_to_copy() -> str:
    """Return the command that copies the images again, on a cluster node whose images come from a bucket."""
    bucket = Path.home() / BUCKET_FILE
    if not bucket.is_file():
        return ""
    command = f"rm -f ~/data/.complete; bash ~/nowt/platform/clusters/aws/node.sh {bucket.read_text().strip()}"
    return f"; to copy it to this node, {socket.gethostname()}, run: {command}"


def read(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """List every image under the root, by class. Raises DataError naming the folder or file that is wrong."""
    root = root_of(config, placement, LAYOUT)
    tests = ["val"] if config.name == "imagenet" else ["val", "test"]
    prepared = manifest.read(root)
    train, test, train_classes = prepared or _list_folder(root, tests)
    skipped: dict[str, str] = {}
    if config.on_bad == "skip" and not prepared:  # a manifest lists only complete images
        skipped = {**cache.broken_images(train, placement), **cache.broken_images(test, placement)}
        train, test = (_without(files, skipped, train_classes) for files in (train, test))
    content = digest_of(train.digest(), test.digest(), sorted(skipped))
    names = tuple(f"{name}: {reason}" for name, reason in sorted(skipped.items()))
    return RawDataset(train, test, len(train_classes), content, names)


def _list_folder(root: Path, tests: list[str]) -> tuple[ImageFiles, ImageFiles, list[str]]:
    """Return the training images, test images and classes found in the folder."""
    classes = _classes(root, "train")
    test_folder = _test_folder(root, tests)
    _check_same_classes(root, test_folder, classes, _classes(root, test_folder))
    train, test = (_files(root, part, classes) for part in ("train", test_folder))
    return train, test, classes


def _test_folder(root: Path, names: list[str]) -> str:
    """Return the folder of the test images: the only one of ``names`` that exists."""
    existing = [name for name in names if (root / name).is_dir()]
    if not existing:
        raise DataError(f"{root} has no folder {' or '.join(names)} for the test images; expected {LAYOUT}")
    if len(existing) > 1:
        raise DataError(
            f"{root} has both val and test: only one may exist, with the test images; validation images"
            " are taken from train. Move the other folder away"
        )
    return existing[0]


def _classes(root: Path, part: str) -> list[str]:
    """Return the classes of one split: its folder names, sorted. The label of a class is its index."""
    if not (root / part).is_dir():
        raise DataError(f"{root} has no folder {part}; expected {LAYOUT}{_how_to_copy()}")
    classes = sorted(e.name for e in os.scandir(root / part) if e.is_dir() and not e.name.startswith("."))
    if len(classes) < 2:
        raise DataError(f"{root / part} has {len(classes)} class folders; expected two or more: {LAYOUT}")
    return classes


def _check_same_classes(root: Path, test: str, train_classes: list[str], test_classes: list[str]) -> None:
    parts = (("train", train_classes, test_classes), (test, test_classes, train_classes))
    only = [f"only in {part}: {_some(set(mine) - set(other))}" for part, mine, other in parts if set(mine) - set(other)]
    if only:
        raise DataError(f"{root}/train and {root}/{test} have different classes; {'; '.join(only)}")


def _some(names: set[str], limit: int = 5) -> str:
    shown = sorted(names)[:limit]
    return ", ".join(shown) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _files(root: Path, part: str, classes: list[str]) -> ImageFiles:
    """Return the image files of one split, class by class, sorted by name."""
    names: list[str] = []
    sizes: list[int] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(_images(root, f"{part}/{name}"))
        if not found:
            raise DataError(f"{root}/{part}/{name} contains no images ({', '.join(EXTENSIONS)}); expected {LAYOUT}")
        names += [path for path, _ in found]
        sizes += [size for _, size in found]
        labels += [label] * len(found)
    return ImageFiles(root, names, np.array(sizes), np.array(labels))


def _images(root: Path, folder: str) -> Iterator[tuple[str, int]]:
    """Yield the name relative to the root and the size in bytes of each image in the folder and its subfolders."""
    for entry in os.scandir(root / folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _images(root, f"{folder}/{entry.name}")
        elif entry.name.lower().endswith(EXTENSIONS):
            yield f"{folder}/{entry.name}", _size(entry)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError as error:
        raise DataError(f"{entry.path} cannot be read: {error.strerror}") from error


def _without(files: ImageFiles, skipped: dict[str, str], classes: list[str]) -> ImageFiles:
    """Return the files without the skipped ones. Raises DataError if a class has none left."""
    remaining = files.take(np.array([i for i, name in enumerate(files.names) if name not in skipped], np.int64))
    empty = set(range(len(classes))) - set(remaining.labels.tolist())
    if empty:
        folder = Path(files.root, files.names[0]).parts[len(files.root.parts)]
        raise DataError(f"{files.root}/{folder}/{classes[min(empty)]} contains no image that can be read")
    return remaining
