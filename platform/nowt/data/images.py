"""Images before they are split into train, val and test: pixels in memory, or files on disk."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nowt.core.errors import DataError
from nowt.data.decode import BadImage, Bytes, broken_image_error, decode
from nowt.data.jpeg import decode_crop
from nowt.data.subsets import Ints
from nowt.data.transforms import Box

Pixels = NDArray[np.uint8] | NDArray[np.float32]

RESIZE_BATCH = 2048  # images resized at a time

DIGEST_BYTES = 16  # of the SHA-256 of an image file: enough to tell any two apart


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
    """Image files: names relative to ``root`` (PART/CLASS/...), sizes in bytes, and digests of their content."""

    root: Path
    names: list[str]
    sizes: Ints
    digests: Bytes  # (N, DIGEST_BYTES)
    labels: Ints
    table: Path | None = None  # in which the digests were looked up

    def take(self, indices: Ints) -> "ImageFiles":
        """Return these images, in this order."""
        names = [self.names[i] for i in indices]
        sizes, digests, labels = self.sizes[indices], self.digests[indices], self.labels[indices]
        return ImageFiles(self.root, names, sizes, digests, labels, self.table)

    def digest(self) -> str:
        """Return a hash of the name and the content of every image.

        Neither ``root`` nor the name of the part is included, so a copy elsewhere has the same digest.
        """
        names = "\0".join(name.partition("/")[2] for name in self.names)
        text = hashlib.sha256(f"{len(self.names)}\0{names}\0".encode("utf-8", "surrogateescape"))
        text.update(np.ascontiguousarray(self.digests).data)
        return text.hexdigest()

    def digest_of_names_and_sizes(self) -> str:
        """Return the digest by which earlier versions of nowt, which did not read the images, identified them."""
        text = hashlib.sha256()
        for name, size in zip(self.names, self.sizes.tolist(), strict=True):
            text.update(f"{name}\n{size}\n".encode("utf-8", "surrogateescape"))
        return text.hexdigest()

    def read(self, index: int) -> bytes:
        """Return the bytes of an image.

        Raises DataError if it cannot be read, or is not the image that was listed. In the latter case the table of
        digests is deleted, so that the next start reads all images.
        """
        data = read_file(self.root / self.names[index])
        if content_digest(data) != self.digests[index].tobytes():
            if self.table is not None:
                with suppress(OSError):
                    self.table.unlink()
            raise DataError(
                f"{self.root / self.names[index]} has changed since its content was listed: run the same command again"
                " (after nowt data prepare, if that wrote the list of images)"
            )
        return data

    def decode(self, index: int, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
        """Return the part of an image in ``choose_box(width, height)``, resized: (3, size, size).

        Raises DataError naming the file if it is broken, has changed or cannot be read.
        """
        return self._decode(self.read(index), index, size, choose_box)

    def decode_crop(self, index: int, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
        """Do as ``decode``, for a training crop: faster for a JPEG, with slightly other pixels where it is resized."""
        data = self.read(index)
        crop = decode_crop(data, size, choose_box)
        return self._decode(data, index, size, choose_box) if crop is None else crop

    def _decode(self, data: bytes, index: int, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
        try:
            return decode(data, size, choose_box)
        except BadImage as error:
            raise broken_image_error(self.root / self.names[index], error) from error


@dataclass(frozen=True, eq=False)
class FolderImages:
    """The images of a data folder."""

    train: ImageFiles
    test: ImageFiles
    classes: list[str]
    left_out: Counter[str]  # how many files and folders of each kind are no images


@dataclass(frozen=True, eq=False)
class RawDataset:
    """A data set as read, before its training images are split into train and val."""

    train: ImageArrays | ImageFiles
    test: ImageArrays | ImageFiles
    classes: int
    content: str  # digest of the content, independent of its location
    skipped: Mapping[str, str] = field(default_factory=dict)  # reason for each image that was left out
    left_out: Mapping[str, int] = field(default_factory=dict)  # number of other files and folders, by kind
    class_folders: Sequence[str] = ()  # names of the class folders, sorted; empty for data without folders


def read_file(path: Path) -> bytes:
    """Return the bytes of a file. Raises DataError naming it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def content_digest(data: bytes) -> bytes:
    """Return the digest of an image file's bytes: the first half of their SHA-256."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def digest_of(*parts: object) -> str:
    """Return one hash of several values: 16 hexadecimal digits."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _resize(pixels: Pixels, size: int) -> Pixels:
    x = F.interpolate(torch.tensor(pixels).float(), (size, size), mode="bilinear", antialias=True)
    is_uint8 = pixels.dtype == np.uint8
    resized: Pixels = (x.round().clamp(0, 255).to(torch.uint8) if is_uint8 else x).numpy()
    return resized
