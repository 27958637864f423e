"""Reads the class of each validation image and the number of training images per class from the copy's own files.

These are either the development kit (``ILSVRC2012_devkit_t12``, a folder or ``.tar.gz``), or
``LOC_val_solution.csv`` and ``ILSVRC/ImageSets/CLS-LOC/train_cls.txt``.
"""

import csv
import io
import tarfile
import zlib
from collections import Counter
from pathlib import Path

from nowt.core.errors import DataError

KIT = "ILSVRC2012_devkit_t12"

SOLUTION = "LOC_val_solution.csv"

NAMES = f"{SOLUTION} or {KIT}"


def validation_labels(source: Path) -> dict[str, str]:
    """Return the WordNet ID by image name without extension. Raises DataError if there are no labels."""
    if (source / SOLUTION).exists():
        with (source / SOLUTION).open(newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == 2 and row[0] != "ImageId"]
        return {name: boxes.split()[0] for name, boxes in rows if boxes.split()}
    if not _has_kit(source):
        raise DataError(
            f"the validation images in {source} are not in class folders, and their labels are missing: "
            f"put {SOLUTION}, {KIT} or {KIT}.tar.gz into {source}"
        )
    by_number = {number: wnid for number, wnid, _ in _synsets(source)}
    truth = _from_kit(source, "ILSVRC2012_validation_ground_truth.txt").split()
    try:
        return {f"ILSVRC2012_val_{i:08}": by_number[int(number)] for i, number in enumerate(truth, 1)}
    except (KeyError, ValueError) as error:
        raise DataError(f"the validation labels of {KIT} name class {error}, which is not in its meta.mat") from error


def training_counts(source: Path) -> dict[str, int]:
    """Return the number of training images per class; empty if the copy does not state it."""
    if _has_kit(source):
        return {wnid: images for _, wnid, images in _synsets(source)}
    lists = [path / "ImageSets/CLS-LOC/train_cls.txt" for path in (source / "ILSVRC", source)]
    for path in lists:
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            return dict(Counter(line.partition("/")[0] for line in lines if "/" in line))
    return {}


def _has_kit(source: Path) -> bool:
    return any((source / name).exists() for name in (KIT, f"{KIT}.tar.gz"))


def _synsets(source: Path) -> list[tuple[int, str, int]]:
    """Return (number, WordNet ID, training images) of each class without subclasses."""
    import scipy.io

    file = io.BytesIO(_from_kit(source, "meta.mat"))
    try:
        table = scipy.io.loadmat(file, squeeze_me=True)["synsets"]  # type: ignore[arg-type]  # accepts file objects
        rows = [
            (int(r["ILSVRC2012_ID"]), str(r["WNID"]), int(r["num_train_images"]), int(r["num_children"])) for r in table
        ]
    except (KeyError, ValueError, TypeError, IndexError, zlib.error) as error:
        raise DataError(f"meta.mat of {KIT} in {source} cannot be read ({error}): download the kit again") from error
    return [row[:3] for row in rows if row[3] == 0]


def _from_kit(source: Path, name: str) -> bytes:
    """Read one file of the kit's ``data`` folder."""
    path = source / KIT / "data" / name
    if path.exists():
        return path.read_bytes()
    packed = source / f"{KIT}.tar.gz"
    try:
        with tarfile.open(packed) as tar:
            member = tar.extractfile(f"{KIT}/data/{name}")
            assert member is not None
            return member.read()
    except (OSError, KeyError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{packed} has no readable {KIT}/data/{name} ({error}): download the kit again") from error
