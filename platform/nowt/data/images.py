"""Pictures before they are split: pixels in memory, or files on disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nowt.data.subsets import Ints

Pixels = NDArray[np.uint8] | NDArray[np.float32]

BLOCK = 2048  # pictures resized at a time


@dataclass(frozen=True, eq=False)
class Arrays:
    """Pixels in memory: uint8 from 0 to 255 or float32 from 0 to 1, (N, C, H, W)."""

    pixels: Pixels
    labels: Ints

    def take(self, indices: Ints) -> "Arrays":
        """Only these pictures, in this order."""
        return Arrays(self.pixels[indices], self.labels[indices])

    def resized(self, size: int) -> "Arrays":
        """The same pictures at size x size pixels."""
        if self.pixels.shape[2:] == (size, size):
            return self
        blocks = [self.pixels[i : i + BLOCK] for i in range(0, len(self.pixels), BLOCK)]
        return Arrays(np.concatenate([_resize(block, size) for block in blocks]), self.labels)

    def digest(self) -> str:
        """A hash of every pixel and label."""
        text = hashlib.sha256(repr((self.pixels.shape, str(self.pixels.dtype))).encode())
        text.update(np.ascontiguousarray(self.pixels).data)
        text.update(np.ascontiguousarray(self.labels).data)
        return text.hexdigest()


@dataclass(frozen=True, eq=False)
class Files:
    """Picture files by their names relative to ``root``, with their sizes in bytes."""

    root: Path
    names: list[str]
    sizes: Ints
    labels: Ints

    def take(self, indices: Ints) -> "Files":
        """Only these pictures, in this order."""
        return Files(self.root, [self.names[i] for i in indices], self.sizes[indices], self.labels[indices])

    def digest(self) -> str:
        """A hash of names and sizes; ``root`` is not in it, so that a copy elsewhere has the same."""
        text = hashlib.sha256()
        for name, size in zip(self.names, self.sizes.tolist(), strict=True):
            text.update(f"{name}\n{size}\n".encode("utf-8", "surrogateescape"))
        return text.hexdigest()


@dataclass(frozen=True, eq=False)
class Found:
    """What reading a data set gave: pictures to cut training and validation from, and the test pictures."""

    train: Arrays | Files
    test: Arrays | Files
    classes: int
    content: str  # a digest of everything that was found, not of where
    skipped: tuple[str, ...] = ()


def digest_of(*parts: object) -> str:
    """One hash of several facts, 16 hexadecimal digits."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _resize(pixels: Pixels, size: int) -> Pixels:
    x = F.interpolate(torch.tensor(pixels).float(), (size, size), mode="bilinear", antialias=True)
    whole = pixels.dtype == np.uint8
    resized: Pixels = (x.round().clamp(0, 255).to(torch.uint8) if whole else x).numpy()
    return resized
