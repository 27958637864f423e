"""Decodes an image file: reads it, crops a box, resizes it, and converts it to RGB."""

import io
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nowt.core.errors import DataError
from nowt.data.transforms import Box, center_crop

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


class BadImage(DataError):
    """A readable file that does not contain a complete image."""


def decode(path: Path, size: int, choose_box: Callable[[int, int], Box]) -> NDArray[np.uint8]:
    """Decode the part of an image in ``choose_box(width, height)``, resized: (3, size, size).

    Orientation tags and color profiles are ignored, as in the loaders behind the field's published numbers.
    Raises BadImage if the file is not a complete image, DataError if it cannot be read at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    with _pillow_errors_as_bad_image():
        return _decode(data, size, choose_box)


def decode_center(path: Path, size: int, scale: float) -> NDArray[np.uint8]:
    """Decode the center square, whose side is ``scale`` times the short side. Raises DataError naming the file."""
    try:
        return decode(path, size, partial(center_crop, scale=scale))
    except BadImage as error:
        raise broken_image_error(path, error) from error


def broken_image_error(path: Path, error: BadImage) -> DataError:
    """Return the error that names a broken image and the two ways to continue."""
    return DataError(f"{path} is broken ({error}): replace it, or skip broken images with --data.on_bad skip")


def verify(data: bytes) -> str:
    """Check that the bytes hold a complete image; return its kind, such as ``RGB JPEG``, ``CMYK JPEG`` or ``RGB PNG``.

    All data are read, decoded at the smallest size that the format supports. Raises BadImage if it is incomplete.
    """
    with _pillow_errors_as_bad_image(), Image.open(io.BytesIO(data)) as image:
        kind = f"{image.mode} {image.format}"
        image.draft(None, (1, 1))
        image.load()
        return kind


@contextmanager
def _pillow_errors_as_bad_image() -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:  # its message contains a memory address
        raise BadImage("not an image of a known format") from error
    except PILLOW_ERRORS as error:
        raise BadImage(" ".join(str(error).split())) from error


def _decode(data: bytes, size: int, choose_box: Callable[[int, int], Box]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        box = choose_box(width, height)
        # a JPEG is decoded at 1/2, 1/4 or 1/8 if that still has all the pixels needed: much faster
        needed = size / (box[2] - box[0]), size / (box[3] - box[1])
        image.draft(None, (math.ceil(width * needed[0]), math.ceil(height * needed[1])))
        x, y = image.size[0] / width, image.size[1] / height
        inside = (box[0] * x, box[1] * y, min(box[2] * x, image.size[0]), min(box[3] * y, image.size[1]))
        small = _rgb(image).resize((size, size), Image.Resampling.BILINEAR, inside)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip 16 bits at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
