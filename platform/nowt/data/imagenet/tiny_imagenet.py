"""Finds the images of each class in a copy of Tiny ImageNet (Le and Yang 2015), as it is distributed.

train   ``train/WNID/images/*.JPEG``
val     ``val/images/*.JPEG``, whose classes are in ``val/val_annotations.txt``
test    ``test/images/*.JPEG``, without labels; left out

These are in ``tiny-imagenet-200.zip`` or were unpacked from it. ``val/WNID`` in class folders is read, too.
"""

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from nowt.core.errors import DataError
from nowt.data.class_folders import is_ignored
from nowt.data.imagenet.archives import SourceImage, zip_members
from nowt.data.imagenet.source import WNID, ClassSource, is_image, source_image

NAME = "tiny-imagenet-200"

ANNOTATIONS = "val/val_annotations.txt"

CLASSES = "wnids.txt"

Files = dict[str, SourceImage]  # by path relative to the folder that contains train and val


def class_sources(source: Path) -> list[ClassSource]:
    """Return every class of train, then of val, sorted. Raises DataError naming what is missing."""
    files = _files(source)
    labels = _labels(source, files)
    found: dict[tuple[str, str], list[SourceImage]] = {}
    for path, image in files.items():
        if (place := _class_of(path, labels, source)) is not None:
            found.setdefault(place, []).append(image)
    for part in ("train", "val"):
        if not any(part == place for place, _ in found):
            raise DataError(f"{source} has no images in {part}: expected those of {NAME}.zip")
    return [ClassSource(part, wnid, partial(list, found[part, wnid])) for part, wnid in sorted(found)]


def listed_classes(source: Path) -> Mapping[str, int | None]:
    """Return the classes in the copy's own list, which does not state their numbers of images; empty without a list."""
    listed = _files(source).get(CLASSES)
    return dict.fromkeys(listed.read().decode().split()) if listed else {}


def _class_of(path: str, labels: dict[str, str], source: Path) -> tuple[str, str] | None:
    """Return the part and the class of an image; None for another file. Raises DataError if it has no label."""
    part, _, below = path.partition("/")
    *folders, name = below.split("/")
    if part not in ("train", "val") or not is_image(name):
        return None
    if folders == ["images"] and part == "val":
        if name not in labels:
            raise DataError(f"{source}: {path} has no label in {ANNOTATIONS}; download {NAME}.zip again")
        return part, labels[name]
    if folders and WNID.fullmatch(folders[0]) and folders[1:] in ([], ["images"]):
        return part, folders[0]
    return None


def _labels(source: Path, files: Files) -> dict[str, str]:
    """Return the class by the name of a validation image: the first two columns of the annotations."""
    if ANNOTATIONS not in files:
        if any(path.startswith("val/images/") for path in files):
            raise DataError(f"{source} has no {ANNOTATIONS}, the labels of its validation images")
        return {}
    rows = [line.split("\t") for line in files[ANNOTATIONS].read().decode(errors="replace").splitlines() if line]
    wrong = next((row for row in rows if len(row) < 2 or not WNID.fullmatch(row[1])), None)
    if wrong is not None:
        raise DataError(f"{source}: {ANNOTATIONS} has the line {' '.join(wrong)!r}, which names no class")
    return {row[0]: row[1] for row in rows}


def _files(source: Path) -> Files:
    """Return every file of the copy. Raises DataError if SRC does not contain one."""
    packed = [path for path in (source, source / f"{NAME}.zip") if path.is_file()]
    for folder in (source, source / NAME):
        if (folder / "train").is_dir() and (folder / "val").is_dir():
            return dict(_walk(folder))
    if not packed:
        raise DataError(f"{source} does not contain Tiny ImageNet: expected {NAME}.zip, or train/ and val/ unpacked")
    members = zip_members(packed[0])
    prefix = next((path.removesuffix(ANNOTATIONS) for path in members if path.endswith(ANNOTATIONS)), None)
    if prefix is None:
        raise DataError(f"{packed[0]} has no {ANNOTATIONS}: is it {NAME}.zip?")
    return {path.removeprefix(prefix): image for path, image in members.items() if path.startswith(prefix)}


def _walk(root: Path, folder: str = "") -> Iterator[tuple[str, SourceImage]]:
    with os.scandir(root / folder) as entries:
        found = [entry for entry in entries if not is_ignored(entry.name)]
    for entry in found:
        if entry.is_dir():
            yield from _walk(root, f"{folder}{entry.name}/")
        elif entry.is_file():
            yield f"{folder}{entry.name}", source_image(entry)
