"""What an ILSVRC copy looks like: the forms in which people have it, and the pictures of each class in each form.

train   class folders, ``train/WNID/*.JPEG``; a tar of each class, ``train/WNID.tar``; or ``ILSVRC2012_img_train.tar``
val     class folders; all pictures in one folder; or ``ILSVRC2012_img_val.tar``, the last two with their labels

in SRC itself, or where the competition's site for downloads puts them, in ``SRC/ILSVRC/Data/CLS-LOC``.
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
from nowt.data.imagenet.archives import Picture

WNID = re.compile(r"n\d{8}")

PLACES = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")


@dataclass(frozen=True)
class Unit:
    """One class of one part: a piece of work. ``pictures`` looks them up, which takes a while in a tar."""

    part: str
    wnid: str
    pictures: Callable[[], list[Picture]]


def units(source: Path) -> list[Unit]:
    """Every class of train, then of val, sorted. Raises DataError saying what is missing."""
    train = _train(_place(source, "train"))
    val = _val(source, _place(source, "val"))
    for part, found in (("train", train), ("val", val)):
        if not found:
            raise DataError(f"{_place(source, part)} holds no class: expected folders or tars such as n01440764")
    return [Unit(part, wnid, found[wnid]) for part, found in (("train", train), ("val", val)) for wnid in sorted(found)]


def _place(source: Path, part: str) -> Path:
    """The folder or tar of one part."""
    names = (part, f"ILSVRC2012_img_{part}", f"ILSVRC2012_img_{part}.tar")
    for place in PLACES:
        for name in names:
            if (source / place / name).exists():
                return source / place / name
    raise DataError(
        f"{source} has no {part}: expected {part}/ (class folders or tars), ILSVRC2012_img_{part}.tar, "
        f"or ILSVRC/Data/CLS-LOC/{part}/ in it"
    )


Lookups = dict[str, Callable[[], list[Picture]]]


def _train(place: Path) -> Lookups:
    if place.suffix == ".tar":
        inner = [p for p in archives.pictures(place) if WNID.fullmatch(Path(p.name).stem) and p.name.endswith(".tar")]
        return {Path(p.name).stem: partial(_packed, place, p.offset or 0, p.size) for p in inner}
    folders = _class_folders(place)
    packed = [path for path in place.glob("n*.tar") if WNID.fullmatch(path.stem)]
    return {**folders, **{path.stem: partial(_packed, path) for path in packed}}  # the tar is whole, if both are


def _val(source: Path, place: Path) -> Lookups:
    if place.is_dir() and (folders := _class_folders(place)):
        return folders
    pictures = _packed(place) if place.suffix == ".tar" else files(place)
    by_name = labels.of_validation(source)
    found: dict[str, list[Picture]] = {}
    for picture in pictures:
        wnid = by_name.get(Path(picture.name).stem, "")
        if not WNID.fullmatch(wnid):
            raise DataError(f"{place} holds {picture.name}, which has no label in {labels.NAMES}: is it ILSVRC2012's?")
        found.setdefault(wnid, []).append(picture)
    return {wnid: partial(list, group) for wnid, group in found.items()}


def _class_folders(place: Path) -> Lookups:
    names = [entry.name for entry in os.scandir(place) if WNID.fullmatch(entry.name) and entry.is_dir()]
    return {name: partial(files, place / name) for name in names}


def _packed(path: Path, begin: int = 0, length: int | None = None) -> list[Picture]:
    """The picture files in a tar."""
    return [picture for picture in archives.pictures(path, begin, length) if is_picture(picture.name)]


def files(folder: Path) -> list[Picture]:
    """The picture files in a folder."""
    entries = [entry for entry in os.scandir(folder) if is_picture(entry.name) and entry.is_file()]
    return [Picture(entry.name, entry.stat().st_size, Path(entry.path)) for entry in entries]


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture: by its ending, hidden files left out."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".") and name.isprintable()
