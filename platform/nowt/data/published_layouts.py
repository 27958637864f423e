"""Recognizes data sets in the layouts in which they are distributed, where another layout or data set is expected.

A reader that refuses a data folder then says what the folder contains and what to do with it.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nowt.core.errors import DataError

TINY_IMAGENET = "tiny-imagenet-200"

CLASS_TAR = re.compile(r"n\d{8}\.tar")

TAR = re.compile(r"ILSVRC2012_img_(train|val)(\.tar)?")

VAL_IMAGE = re.compile(r"ILSVRC2012_val_\d{8}\.JPEG")

COMPETITION = "ILSVRC/Data/CLS-LOC"  # where the competition's download has train and val

LABELS = "LOC_val_solution.csv"

CIFAR10 = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")

IDX = re.compile(r"(?:.*[-_])?(train|t10k)-(images|labels)[-.]idx\d-ubyte(\.gz)?")


@contextmanager
def naming_the_layout(root: Path, name: str) -> Iterator[None]:
    """Replace a DataError about ``root``, the data folder of data set ``name``, by one that says which published data
    set it contains, if it contains one that is not laid out for training or has another name."""
    try:
        yield
    except DataError as error:
        if text := recognize(root, name):
            raise DataError(f"{root} contains {text}") from error
        raise


def recognize(root: Path, name: str) -> str:
    """Return which published data set a folder or file contains, and how to use it; empty if data set ``name`` reads
    it, or if it is not known."""
    kinds: tuple[Callable[[Path, str], str], ...] = (_tiny_imagenet, _imagenet)
    if not (root / "train").is_dir():
        kinds = (*kinds, _cifar10, _idx_files)
    return next((text for kind in kinds if (text := kind(root, name))), "")


def _tiny_imagenet(root: Path, name: str) -> str:
    folders = [root / below / "val" for below in ("", TINY_IMAGENET)]
    unpacked = any((each / "val_annotations.txt").is_file() and (each / "images").is_dir() for each in folders)
    archives = [] if (root / "train").is_dir() else [root, root / f"{TINY_IMAGENET}.zip"]
    packed = any(path.is_file() and path.name == f"{TINY_IMAGENET}.zip" for path in archives)
    if not (unpacked or packed):
        return ""
    return f"Tiny ImageNet as it is distributed: {_preparation('tiny-imagenet', root, name)}"


def _imagenet(root: Path, name: str) -> str:
    parts = [root / below / part for below in ("", COMPETITION) for part in ("train", "val")]
    in_parts = any(_has(part, CLASS_TAR) or _has(part, VAL_IMAGE) for part in parts)
    unpacked = all((root / part).is_dir() for part in ("train", "val"))
    if not in_parts and (unpacked or not _has(root, TAR)):
        return ""
    return f"ImageNet as it is distributed: {_preparation('imagenet', _imagenet_source(root), name)}"


def _imagenet_source(root: Path) -> Path:
    """Return the folder with the labels of the validation images, if ``root`` is the inner folder of the competition's
    download, and that of a file; otherwise ``root``."""
    path = root.absolute()
    is_inner = "/".join(path.parts[-3:]) == COMPETITION and (path.parents[2] / LABELS).is_file()
    return path.parents[2] if is_inner else root.parent if root.is_file() else root


def _preparation(command: str, source: Path, name: str) -> str:
    """Return the command that lays out the images, and what to do then."""
    folders = "" if name in ("folder", "imagenet") else " and set data.name to folder"
    return f"run nowt data prepare {command} {shlex.quote(str(source))} DST, then give DST as the data folder{folders}"


def _cifar10(root: Path, name: str) -> str:
    use = "" if name == "cifar10" else " and set data.name to cifar10"
    names = {file for place in ("", "cifar-10-batches-bin", "cifar-10-batches-py") for file in _names(root / place)}
    if "test_batch.bin" in names:
        return "CIFAR-10: set data.name to cifar10" if use else ""
    if CIFAR10[0] in names:
        return f"{CIFAR10[0]}: unpack it, then give the folder with its files as the data folder{use}"
    if names & {"data_batch_1", CIFAR10[1]}:
        return (
            "the Python version of CIFAR-10, pickles, which can run code and are not opened: download the binary "
            f"version, {CIFAR10[0]}, and unpack it there{use}"
        )
    return ""


def _idx_files(root: Path, name: str) -> str:
    names = ("mnist", "fashion_mnist")
    folders = {"MNIST/raw": names[0], "FashionMNIST/raw": names[1], "": " or ".join(names), "raw": " or ".join(names)}
    found = next((names for folder, names in folders.items() if _has(root / folder, IDX)), "")
    if not found or (name in names and root.is_dir()):  # whose message names the file that is missing
        return ""
    use = [] if name in names else [f"set data.name to {found}"]
    folder = [f"give {root.parent} as the data folder"] if root.is_file() else []
    return f"images of MNIST or Fashion-MNIST: {' and '.join([*use, *folder])}"


def _has(folder: Path, pattern: re.Pattern[str]) -> bool:
    return any(map(pattern.fullmatch, _names(folder)))


def _names(place: Path) -> list[str]:
    """Return the names in a folder, or that of a file; none if there is neither, or it cannot be read."""
    try:
        return os.listdir(place) if place.is_dir() else [place.name] if place.is_file() else []
    except OSError:
        return []
