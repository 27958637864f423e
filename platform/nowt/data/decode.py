"""From a picture's file to its pixels: read, cut out a box, resize, RGB."""

import io
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nowt.core.errors import DataError
from nowt.data.transforms import Box

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)  # Pillow raises these


class BadPicture(DataError):
    """A file that is there and can be read but holds no whole picture."""


def decode(path: Path, size: int, choose: Callable[[int, int], Box]) -> NDArray[np.uint8]:
    """The picture in the box ``choose(width, height)``, resized to (3, size, size).

    Orientation tags and colour profiles are left alone, as in the loaders that the field's numbers come from.
    Raises BadPicture where the file is no whole picture, DataError where it cannot be read at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    with _broken_is_told():
        return _decode(data, size, choose)


def look(data: bytes) -> str:
    """What kind of picture the bytes hold, such as ``RGB JPEG``, ``CMYK JPEG`` or ``RGB PNG``.

    All of it is read, at the least size that its format can be decoded at. Raises BadPicture where it is not whole.
    """
    with _broken_is_told(), Image.open(io.BytesIO(data)) as image:
        kind = f"{image.mode} {image.format}"
        image.draft(None, (1, 1))
        image.load()
        return kind


@contextmanager
def _broken_is_told() -> Iterator[None]:
    """Turn whatever Pillow raises into BadPicture."""
    try:
        yield
    except UnidentifiedImageError as error:  # its message holds an address in memory
        raise BadPicture("not a picture of a known kind") from error
    except BROKEN as error:
        raise BadPicture(" ".join(str(error).split())) from error


def _decode(data: bytes, size: int, choose: Callable[[int, int], Box]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        box = choose(width, height)
        # a JPEG is decoded at 1/2, 1/4 or 1/8 where that still has all the pixels needed: much faster
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
