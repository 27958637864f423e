"""MNIST and Fashion-MNIST from their idx files, in torchvision's layout; nothing is ever downloaded."""

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
from nowt.data.images import Arrays, Found, digest_of

FOLDERS = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw"}

CLASSES = 10

BYTES = 0x08  # idx's code for unsigned bytes


def read(config: DataConfig, placement: Placement, size: int) -> Found:
    """60,000 training and 10,000 test pictures of 28x28, grey. Raises DataError naming the file."""
    root = root_of(config, placement, f"{FOLDERS[config.name]}/*-ubyte or *-ubyte.gz")
    raw = root / FOLDERS[config.name]
    raw = root if list(root.glob("*-ubyte*")) else raw
    train, test = _pictures(raw, "train"), _pictures(raw, "t10k")
    content = digest_of(train.digest(), test.digest())
    return Found(train.resized(size), test.resized(size), CLASSES, content)


def _pictures(raw: Path, part: str) -> Arrays:
    pixels = _idx(raw, f"{part}-images-idx3-ubyte", 3)
    labels = _idx(raw, f"{part}-labels-idx1-ubyte", 1)
    if len(pixels) != len(labels):
        raise DataError(f"{raw}: {part} has {len(pixels)} pictures but {len(labels)} labels; fetch both files again")
    if labels.max(initial=0) >= CLASSES:
        raise DataError(f"{raw}/{part}-labels-idx1-ubyte holds the label {labels.max()}; expected 0 to {CLASSES - 1}")
    return Arrays(pixels[:, None], labels.astype(np.int64))


def _idx(raw: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """An idx file: zero, zero, type, dimensions, each one's 32-bit big-endian size, then the bytes."""
    path, data = _bytes(raw, name)
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != bytes([0, 0, BYTES, dimensions]):
        raise DataError(f"{path} is no idx file of bytes in {dimensions} dimensions; fetch it again")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, 4).tolist())
    if len(data) != head + math.prod(shape):
        raise DataError(
            f"{path} holds {len(data)} bytes where its header says {head + math.prod(shape)}; fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _bytes(raw: Path, name: str) -> tuple[Path, bytes]:
    plain, packed = raw / name, raw / f"{name}.gz"
    try:
        if plain.exists():
            return plain, plain.read_bytes()
        return packed, gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{plain} (or {packed.name}) is missing; nowt downloads nothing: put it there") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed if packed.exists() else plain} cannot be read: {error}; fetch it again") from error
