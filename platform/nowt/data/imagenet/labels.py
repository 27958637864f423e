"""The class of each validation picture, and how many training pictures each class should have, as the copy says itself.

Both come with the data: in the development kit (``ILSVRC2012_devkit_t12``, a folder or ``.tar.gz``), or in
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


def of_validation(source: Path) -> dict[str, str]:
    """WordNet ID by picture name without its ending. Raises DataError where no labels are there."""
    if (source / SOLUTION).exists():
        with (source / SOLUTION).open(newline="") as file:
            rows = [row for row in csv.reader(file) if len(row) == 2 and row[0] != "ImageId"]
        return {name: boxes.split()[0] for name, boxes in rows if boxes.split()}
    if not _has_kit(source):
        raise DataError(
            f"the validation pictures in {source} are not in class folders, and their labels are missing: "
            f"put {SOLUTION}, {KIT} or {KIT}.tar.gz into {source}"
        )
    by_number = {number: wnid for number, wnid, _ in _synsets(source)}
    truth = _from_kit(source, "ILSVRC2012_validation_ground_truth.txt").split()
    try:
        return {f"ILSVRC2012_val_{i:08}": by_number[int(number)] for i, number in enumerate(truth, 1)}
    except (KeyError, ValueError) as error:
        raise DataError(
            f"the validation labels of {KIT} name class {error}, which its meta.mat does not have"
        ) from error


def of_training(source: Path) -> dict[str, int]:
    """Training pictures of each class; empty where the copy does not say."""
    if _has_kit(source):
        return {wnid: pictures for _, wnid, pictures in _synsets(source)}
    lists = [path / "ImageSets/CLS-LOC/train_cls.txt" for path in (source / "ILSVRC", source)]
    for path in lists:
        if path.exists():
            return dict(Counter(line.partition("/")[0] for line in path.read_text().splitlines() if "/" in line))
    return {}


def _has_kit(source: Path) -> bool:
    return any((source / name).exists() for name in (KIT, f"{KIT}.tar.gz"))


def _synsets(source: Path) -> list[tuple[int, str, int]]:
    """(number, WordNet ID, training pictures) of each class that has no class below it."""
    import scipy.io

    file = io.BytesIO(_from_kit(source, "meta.mat"))
    try:
        table = scipy.io.loadmat(file, squeeze_me=True)["synsets"]  # type: ignore[arg-type]  # it takes files, too
        rows = [
            (int(r["ILSVRC2012_ID"]), str(r["WNID"]), int(r["num_train_images"]), int(r["num_children"])) for r in table
        ]
    except (KeyError, ValueError, TypeError, IndexError, zlib.error) as error:
        raise DataError(f"meta.mat of {KIT} in {source} cannot be read ({error}): fetch the kit again") from error
    return [row[:3] for row in rows if row[3] == 0]


def _from_kit(source: Path, name: str) -> bytes:
    """One file of the kit's folder ``data``."""
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
        raise DataError(f"{packed} has no readable {KIT}/data/{name} ({error}): fetch the kit again") from error
