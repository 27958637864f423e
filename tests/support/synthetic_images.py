"""Synthetic image folders, and MNIST and CIFAR-10 files with a few images."""

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, seed: int = 0, width: int = 40, height: int = 30, mode: str = "RGB") -> Path:
    """Draw an image of smooth random colors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    few = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def image_folder(root: Path, train: int = 20, test: int = 4, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """train/CLASS/*.jpg and val/CLASS/*.jpg with ``train`` and ``test`` images per class."""
    for part, count in (("train", train), ("val", test)):
        for label, name in enumerate(classes):
            for i in range(count):
                draw(root / part / name / f"{i:03}.jpg", seed=1000 * label + i + 500 * (part == "val"))
    return root


def truncate(path: Path) -> Path:
    """Cut a file to half its size."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def mnist(raw: Path, packed: bool = False, train: int = 60, test: int = 20) -> Path:
    """Write the four idx files, plain or gzipped, with few images."""
    raw.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels, packed)
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels, packed)
    return raw


def write_idx(path: Path, values: np.ndarray, packed: bool) -> None:
    """Write one idx file of bytes."""
    data = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


def cifar_binary(folder: Path, per_file: int = 20) -> Path:
    """Write CIFAR-10's binary version with few images per file; every pixel of an image is its label."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = (np.arange(per_file) % 10).astype(np.uint8)
    records = np.repeat(labels[:, None], 1 + 3 * 32 * 32, axis=1)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder
