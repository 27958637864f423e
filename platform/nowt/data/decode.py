"""Decodes an image file: crops a box, resizes it, and converts it to RGB."""

import io
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nowt.core.errors import DataError
from nowt.data.transforms import Box

Bytes = NDArray[np.uint8]

VERSION = 1  # raised whenever the same files would give other pixels; it is part of the fingerprint

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


def decode(data: bytes, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
    """Return the part of an image in ``choose_box(width, height)``, resized: (3, size, size).

    Orientation tags and color profiles are ignored, as in the loaders behind the field's published numbers.
    Raises BadImage if ``data`` is not a complete image.
    """
    with _pillow_errors_as_bad_image():
        return _decode(data, size, choose_box)


def broken_image_error(path: object, error: BadImage) -> DataError:
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


def _decode(data: bytes, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
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
