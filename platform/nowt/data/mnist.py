"""Reads MNIST and Fashion-MNIST from their idx files, in the layouts in which they are distributed.

The files are in the folder itself or in torchvision's ``MNIST/raw`` (``FashionMNIST/raw``), plain or gzipped. They are
named ``train-images-idx3-ubyte`` or, as archive programs unpack them, ``train-images.idx3-ubyte``; the name may also be
that of a folder which contains the file, as on Kaggle. Nothing is downloaded.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.core.formatting import counted
from nowt.data.image_folder import root_of
from nowt.data.images import ImageArrays, RawDataset, digest_of
from nowt.data.published_layouts import naming_the_layout

FOLDERS = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw"}

TRAINING_DIGESTS = {  # of the published training images: both data sets have the same file names
    "334bb234ae2a400d92ccbbcd32f055dd9e60af309f1058608f8952b917e3543c": "mnist",
    "236c6dd0ea9c515a1be230eeb002b2c7ca3d4d257921af125189b77255e4dadf": "fashion_mnist",
}

FILES = {"train-images": 3, "train-labels": 1, "t10k-images": 3, "t10k-labels": 1}  # and their dimensions

CLASSES = 10

UNSIGNED_BYTE = 0x08  # type code of the idx format


def read(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """Read 60,000 training and 10,000 test images, 28x28, gray. Raises DataError naming the file."""
    root = root_of(config, placement, f"{FOLDERS[config.name]}/*-ubyte or *-ubyte.gz")
    raw = next((folder for folder in (root, root / "raw") if _has_files(folder)), root / FOLDERS[config.name])
    with naming_the_layout(root, config.name):
        train, test = _images(root, raw, "train"), _images(root, raw, "t10k")
    found = TRAINING_DIGESTS.get(train.digest(), config.name)
    if found != config.name:
        raise DataError(f"{raw} contains the images of {found}, not of {config.name}: set data.name to {found}")
    content = digest_of(train.digest(), test.digest())
    return RawDataset(train.resize(size), test.resize(size), CLASSES, content)


def _images(root: Path, raw: Path, part: str) -> ImageArrays:
    pixels = _idx(root, raw, f"{part}-images")
    labels = _idx(root, raw, f"{part}-labels")
    if len(pixels) != len(labels):
        raise DataError(
            f"{raw}: {part} has {counted(len(pixels), 'image')} but {counted(len(labels), 'label')}; "
            "download both files again"
        )
    if labels.max(initial=0) >= CLASSES:
        raise DataError(
            f"{raw}/{part}-labels-idx1-ubyte contains the label {labels.max()}; expected 0 to {CLASSES - 1}"
        )
    return ImageArrays(pixels[:, None], labels.astype(np.int64))


def _idx(root: Path, raw: Path, name: str) -> NDArray[np.uint8]:
    """Read an idx file: zero, zero, type, number of dimensions, 32-bit big-endian sizes, then the bytes."""
    path, data = _read_file(root, raw, name)
    dimensions = FILES[name]
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise DataError(f"{path} is not an idx file of bytes in {dimensions} dimensions; download it again")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, 4).tolist())
    if len(data) != (expected := header + math.prod(shape)):
        raise DataError(f"{path} has {counted(str(len(data)), 'byte')}; its header says {expected}; download it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_file(root: Path, raw: Path, name: str) -> tuple[Path, bytes]:
    """Return the path and the content of a file. Raises DataError if it is missing, or if several differ."""
    paths = list(_existing(raw, name))
    if not paths:
        raise DataError(
            f"{raw / _names(name)[0]} (or {_names(name)[0]}.gz) is missing; nowt does not download data sets: put the"
            f" file there{_similar(root, name)}"
        )
    found = [(path, _read_bytes(path)) for path in paths]
    for path, data in found[1:]:
        if data != found[0][1]:
            raise DataError(f"{found[0][0]} and {path} differ: move the wrong one away")
    return found[0]


def _has_files(folder: Path) -> bool:
    return any(True for name in FILES for _ in _existing(folder, name))


def _names(name: str) -> list[str]:
    """Return the names that a file may have, without .gz."""
    return [f"{name}{separator}idx{FILES[name]}-ubyte" for separator in "-."]


def _existing(folder: Path, name: str) -> Iterator[Path]:
    """Yield every file that may be meant: in the folder, or in a folder of that name."""
    files = [file for base in _names(name) for file in (base, f"{base}.gz")]
    for place in (folder, *(folder / base for base in _names(name))):
        yield from (place / file for file in files if (place / file).is_file())


def _similar(root: Path, name: str) -> str:
    """Return a hint that names the files below ``root`` which may be the missing one under another name or place."""
    parts = name.split("-")
    files = (path for path in root.rglob("*") if path.is_file())
    found = sorted(str(path) for path in files if all(part in path.name.lower() for part in parts))
    return f"; is it {' or '.join(found[:3])}? Move or rename it" if found else ""


def _read_bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except gzip.BadGzipFile as error:
        raise DataError(f"{path} is not compressed; rename it to {path.stem}, or download it again") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; download it again") from error
