"""Reads MNIST and Fashion-MNIST from their idx files, in torchvision's layout. Nothing is downloaded."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data.image_folder import root_of
from nowt.data.images import ImageArrays, RawDataset, digest_of

FOLDERS = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw"}

CLASSES = 10

UNSIGNED_BYTE = 0x08  # type code of the idx format


def read(config: DataConfig, placement: Placement, size: int) -> RawDataset:
    """Read 60,000 training and 10,000 test images, 28x28, gray. Raises DataError naming the file."""
    root = root_of(config, placement, f"{FOLDERS[config.name]}/*-ubyte or *-ubyte.gz")
    raw = root / FOLDERS[config.name]
    raw = root if list(root.glob("*-ubyte*")) else raw
    train, test = _images(raw, "train"), _images(raw, "t10k")
    content = digest_of(train.digest(), test.digest())
    return RawDataset(train.resize(size), test.resize(size), CLASSES, content)


def _images(raw: Path, part: str) -> ImageArrays:
    pixels = _idx(raw, f"{part}-images-idx3-ubyte", 3)
    labels = _idx(raw, f"{part}-labels-idx1-ubyte", 1)
    if len(pixels) != len(labels):
        raise DataError(f"{raw}: {part} has {len(pixels)} images but {len(labels)} labels; download both files again")
    if labels.max(initial=0) >= CLASSES:
        raise DataError(
            f"{raw}/{part}-labels-idx1-ubyte contains the label {labels.max()}; expected 0 to {CLASSES - 1}"
        )
    return ImageArrays(pixels[:, None], labels.astype(np.int64))


def _idx(raw: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """Read an idx file: zero, zero, type, number of dimensions, 32-bit big-endian sizes, then the bytes."""
    path, data = _read_bytes(raw, name)
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise DataError(f"{path} is not an idx file of bytes in {dimensions} dimensions; download it again")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, 4).tolist())
    if len(data) != header + math.prod(shape):
        raise DataError(f"{path} has {len(data)} bytes; its header says {header + math.prod(shape)}; download it again")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_bytes(raw: Path, name: str) -> tuple[Path, bytes]:
    plain, packed = raw / name, raw / f"{name}.gz"
    try:
        if plain.exists():
            return plain, plain.read_bytes()
        return packed, gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"{plain} (or {packed.name}) is missing; nowt does not download data sets: put the file there"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed if packed.exists() else plain} cannot be read: {error}; download it again") from error
