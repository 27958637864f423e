"""Finds the images of each class in an ILSVRC2012 copy, in any of the layouts in which it is distributed.

train   class folders, ``train/WNID/*.JPEG``; one tar per class, ``train/WNID.tar``; or ``ILSVRC2012_img_train.tar``
val     class folders; all images in one folder; or ``ILSVRC2012_img_val.tar``. The last two need their labels

These are in SRC itself or, as in the competition's download, in ``SRC/ILSVRC/Data/CLS-LOC``.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nowt.core.errors import DataError
from nowt.data.decode import EXTENSIONS
from nowt.data.imagenet import archives, labels
from nowt.data.imagenet.archives import SourceImage

WNID = re.compile(r"n\d{8}")

SUBFOLDERS = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")

ImageLists = dict[str, Callable[[], list[SourceImage]]]  # by WordNet ID


@dataclass(frozen=True)
class ClassSource:
    """One class of train or val: one unit of work. ``list_images`` may be slow, because it reads a tar."""

    part: str
    wnid: str
    list_images: Callable[[], list[SourceImage]]


def class_sources(source: Path) -> list[ClassSource]:
    """Return every class of train, then of val, sorted. Raises DataError naming what is missing."""
    parts = {"train": _train(_locate(source, "train")), "val": _val(source, _locate(source, "val"))}
    for part, classes in parts.items():
        if not classes:
            raise DataError(f"{_locate(source, part)} has no classes: expected folders or tars such as n01440764")
    return [ClassSource(part, wnid, classes[wnid]) for part, classes in parts.items() for wnid in sorted(classes)]


def _locate(source: Path, part: str) -> Path:
    """Return the folder or tar of train or val."""
    names = (part, f"ILSVRC2012_img_{part}", f"ILSVRC2012_img_{part}.tar")
    for subfolder in SUBFOLDERS:
        for name in names:
            if (source / subfolder / name).exists():
                return source / subfolder / name
    raise DataError(
        f"{source} has no {part}: expected {part}/ (class folders or tars), ILSVRC2012_img_{part}.tar, "
        f"or ILSVRC/Data/CLS-LOC/{part}/ in it"
    )


def _train(path: Path) -> ImageLists:
    if path.suffix == ".tar":
        members = archives.tar_members(path)
        inner = [m for m in members if WNID.fullmatch(Path(m.name).stem) and m.name.endswith(".tar")]
        return {Path(m.name).stem: partial(_images_in_tar, path, m.offset or 0, m.size) for m in inner}
    tars = [tar for tar in path.glob("n*.tar") if WNID.fullmatch(tar.stem)]
    # a class may have both a folder and a tar; the tar is complete
    return {**_class_folders(path), **{tar.stem: partial(_images_in_tar, tar) for tar in tars}}


def _val(source: Path, path: Path) -> ImageLists:
    if path.is_dir() and (folders := _class_folders(path)):
        return folders
    images = _images_in_tar(path) if path.suffix == ".tar" else images_in_folder(path)
    by_name = labels.validation_labels(source)
    found: dict[str, list[SourceImage]] = {}
    for image in images:
        wnid = by_name.get(Path(image.name).stem, "")
        if not WNID.fullmatch(wnid):
            raise DataError(
                f"{path} contains {image.name}, which has no label in {labels.NAMES}: is it from ILSVRC2012?"
            )
        found.setdefault(wnid, []).append(image)
    return {wnid: partial(list, group) for wnid, group in found.items()}


def _class_folders(path: Path) -> ImageLists:
    names = [entry.name for entry in os.scandir(path) if WNID.fullmatch(entry.name) and entry.is_dir()]
    return {name: partial(images_in_folder, path / name) for name in names}


def _images_in_tar(path: Path, begin: int = 0, length: int | None = None) -> list[SourceImage]:
    return [member for member in archives.tar_members(path, begin, length) if is_image(member.name)]


def images_in_folder(folder: Path) -> list[SourceImage]:
    """Return the image files in a folder."""
    entries = [entry for entry in os.scandir(folder) if is_image(entry.name) and entry.is_file()]
    return [source_image(entry) for entry in entries]


def source_image(entry: os.DirEntry[str]) -> SourceImage:
    """Return the image in a file."""
    status = entry.stat()
    return SourceImage(entry.name, status.st_size, Path(entry.path), status.st_mtime_ns)


def is_image(name: str) -> bool:
    """Return whether a file is an image, judged by its extension; hidden files are not."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".") and name.isprintable()
