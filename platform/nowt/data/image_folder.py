"""Reads image folders: train/CLASS/* are the training images, val/CLASS/* (or test/CLASS/*) the test images."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.core.formatting import counted
from nowt.data import cache, content, manifest
from nowt.data.class_folders import class_names, list_images, some
from nowt.data.decode import VERSION
from nowt.data.images import FolderImages, ImageFiles, RawDataset, digest_of
from nowt.data.published_layouts import naming_the_layout

LAYOUT = "train/CLASS/*.jpg and val/CLASS/*.jpg"

BUCKET_FILE = "nowt-bucket"  # written by node.sh in the home of a cluster node: the bucket of its images


def root_of(config: DataConfig, placement: Placement, layout: str) -> Path:
    """Return the data folder. Raises DataError if none is given or it does not exist."""
    if not placement.data:
        raise DataError(
            f"no data folder is given (--data-dir, Placement.data): {config.name} needs the one that contains {layout}"
        )
    root = Path(placement.data)
    if not root.is_dir():
        with naming_the_layout(root, config.name):
            raise DataError(
                f"{root} is not a folder: the data folder must be the one that contains {layout}{_how_to_copy()}"
            )
    return root


def _how_to_copy() -> str:
    """Return the command that copies the images again, on a cluster node whose images come from a bucket."""
    bucket = Path.home() / BUCKET_FILE
    if not bucket.is_file():
        return ""
    source = bucket.read_text(encoding="utf-8").strip()
    command = f"rm -f ~/data/.complete; bash ~/nowt/platform/clusters/aws/node.sh {source}"
    return f"; to copy it to this node, {socket.gethostname()}, run: {command}"


def read(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """Read the names and the content digests of every image under the root, by class.

    Raises DataError naming the folder or file that is wrong.
    """
    root = root_of(config, placement, LAYOUT)
    tests = ["val"] if config.name == "imagenet" else ["val", "test"]
    prepared = manifest.read(root)
    with naming_the_layout(root, config.name):
        found = prepared or _list_folder(root, tests, placement)
    train, test, classes = found.train, found.test, found.classes
    skipped: dict[str, str] = {}
    if config.on_bad == "skip" and not prepared:  # a manifest lists only complete images
        skipped = {**cache.broken_images(train, placement), **cache.broken_images(test, placement)}
        train, test = (_without(files, skipped, classes) for files in (train, test))
    digest = digest_of(VERSION, train.digest(), test.digest(), sorted(skipped))
    return RawDataset(train, test, len(classes), digest, dict(sorted(skipped.items())), found.left_out, classes)


def _list_folder(root: Path, tests: list[str], placement: Placement) -> FolderImages:
    """Return the images found in the folder."""
    classes = _classes(root, "train")
    test_folder = _test_folder(root, tests)
    _check_same_classes(root, test_folder, classes, _classes(root, test_folder))
    listed = [list_images(root, part, classes, LAYOUT) for part in ("train", test_folder)]
    names, facts = listed[0].names + listed[1].names, np.concatenate([part.facts for part in listed])
    _notice_outdated_manifest(root, placement)
    digests = content.content_digests(root, names, facts, placement)
    table = content.table_path(root, placement)
    train, test = (
        ImageFiles(root, part.names, part.facts[:, 0], part_digests, part.labels, table)
        for part, part_digests in zip(listed, np.split(digests, [len(listed[0].names)]), strict=True)
    )
    return FolderImages(train, test, classes, listed[0].left_out + listed[1].left_out)


def _notice_outdated_manifest(root: Path, placement: Placement) -> None:
    """Say at the first start why the images are read although ``nowt data prepare`` has listed them."""
    if manifest.is_outdated(root) and not content.table_path(root, placement).exists():
        print(
            f"nowt: {root / manifest.EARLIER_NAME} is from an earlier version and has no digests: all images are read"
            " once. To have them listed, run the command nowt data prepare again",
            file=sys.stderr,
            flush=True,
        )


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
    classes = class_names(root / part)
    if len(classes) < 2:
        raise DataError(f"{root / part} has {counted(len(classes), 'class folder')}; expected two or more: {LAYOUT}")
    return classes


def _check_same_classes(root: Path, test: str, train_classes: list[str], test_classes: list[str]) -> None:
    parts = (("train", train_classes, test_classes), (test, test_classes, train_classes))
    only = [f"only in {part}: {some(set(mine) - set(other))}" for part, mine, other in parts if set(mine) - set(other)]
    if only:
        raise DataError(f"{root}/train and {root}/{test} have different classes; {'; '.join(only)}")


def _without(files: ImageFiles, skipped: Mapping[str, str], classes: list[str]) -> ImageFiles:
    """Return the files without the skipped ones. Raises DataError if a class has none left."""
    remaining = files.take(np.array([i for i, name in enumerate(files.names) if name not in skipped], np.int64))
    empty = set(range(len(classes))) - set(remaining.labels.tolist())
    if empty:
        folder = Path(files.root, files.names[0]).parts[len(files.root.parts)]
        raise DataError(f"{files.root}/{folder}/{classes[min(empty)]} contains no image that can be read")
    return remaining
