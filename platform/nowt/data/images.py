"""Images before they are split into train, val and test: pixels in memory, or files on disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nowt.data.subsets import Ints

Pixels = NDArray[np.uint8] | NDArray[np.float32]

RESIZE_BATCH = 2048  # images resized at a time


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """Pixels in memory: (N, C, H, W), uint8 from 0 to 255 or float32 from 0 to 1."""

    pixels: Pixels
    labels: Ints

    def take(self, indices: Ints) -> "ImageArrays":
        """Return these images, in this order."""
        return ImageArrays(self.pixels[indices], self.labels[indices])

    def resize(self, size: int) -> "ImageArrays":
        """Return the images at size x size pixels."""
        if self.pixels.shape[2:] == (size, size):
            return self
        batches = [self.pixels[i : i + RESIZE_BATCH] for i in range(0, len(self.pixels), RESIZE_BATCH)]
        return ImageArrays(np.concatenate([_resize(batch, size) for batch in batches]), self.labels)

    def digest(self) -> str:
        """Return a hash of every pixel and label."""
        text = hashlib.sha256(repr((self.pixels.shape, str(self.pixels.dtype))).encode())
        text.update(np.ascontiguousarray(self.pixels).data)
        text.update(np.ascontiguousarray(self.labels).data)
        return text.hexdigest()


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files: names relative to ``root``, and sizes in bytes."""

    root: Path
    names: list[str]
    sizes: Ints
    labels: Ints

    def take(self, indices: Ints) -> "ImageFiles":
        """Return these images, in this order."""
        return ImageFiles(self.root, [self.names[i] for i in indices], self.sizes[indices], self.labels[indices])

    def digest(self) -> str:
        """Return a hash of names and sizes. ``root`` is not included, so a copy elsewhere has the same digest."""
        text = hashlib.sha256()
        for name, size in zip(self.names, self.sizes.tolist(), strict=True):
            text.update(f"{name}\n{size}\n".encode("utf-8", "surrogateescape"))
        return text.hexdigest()


@dataclass(frozen=True, eq=False)
class RawDataset:
    """A data set as read, before its training images are split into train and val."""

    train: ImageArrays | ImageFiles
    test: ImageArrays | ImageFiles
    classes: int
    content: str  # digest of the content, independent of its location
    skipped: tuple[str, ...] = ()


def digest_of(*parts: object) -> str:
    """Return one hash of several values: 16 hexadecimal digits."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _resize(pixels: Pixels, size: int) -> Pixels:
    x = F.interpolate(torch.tensor(pixels).float(), (size, size), mode="bilinear", antialias=True)
    is_uint8 = pixels.dtype == np.uint8
    resized: Pixels = (x.round().clamp(0, 255).to(torch.uint8) if is_uint8 else x).numpy()
    return resized
