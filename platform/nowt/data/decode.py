"""Decodes image files to RGB, 8 bits per channel.

- Alpha is ignored: a transparent pixel has the color that is stored for it.
- 16 bits are divided by 256 (12 bits by 16), and floating-point values from 0 to 1 are multiplied by 255.
- Values without a stated range are refused: 32-bit integers, signed integers, other floating-point values.
- Orientation tags and color profiles are ignored, as in the loaders behind the field's published numbers.
- Of a file with several images, such as a TIFF with pages, the first is read.
"""

import hashlib
import io
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from nowt.core.errors import DataError
from nowt.data.transforms import Box

Bytes = NDArray[np.uint8]

VERSION = 2  # raised whenever the same files would give other pixels; it is part of the fingerprint

LIBRARIES = ("jpg", "libjpeg_turbo", "libtiff", "webp")  # of Pillow; other formats are lossless

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# of images in formats that are not read, so that they can be told from files that are no images
OTHER_EXTENSIONS = (
    *(
        ".arw",
        ".avif",
        ".bpg",
        ".cr2",
        ".cr3",
        ".dcm",
        ".dng",
        ".exr",
        ".gif",
        ".hdr",
        ".heic",
        ".heif",
        ".ico",
        ".j2k",
    ),
    *(".jfif", ".jp2", ".jpe", ".jxl", ".jxr", ".nef", ".orf", ".pbm", ".pcx", ".pnm", ".psd", ".qoi", ".raf", ".raw"),
    *(".rw2", ".svg", ".tga"),
)

MODES_OF_8_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"})

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF

WHITE_IS_ZERO, SIGNED = 0, 2  # values of the latter two

SAVE = "save it with 8 or 16 bits, unsigned"

SCALE = "scale all images of the data set to 0 to 1 by one rule"

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


class UnsupportedImage(BadImage):
    """A complete image that has no stated conversion to RGB."""


class OutOfRange(UnsupportedImage):
    """Floating-point values outside 0 to 1. Such an image is never left out: the darker images of the same data set may
    lie within 0 to 1, and would be scaled by another rule than it."""


def decode(data: bytes, size: int, choose_box: Callable[[int, int], Box]) -> Bytes:
    """Return the part of an image in ``choose_box(width, height)``, resized: (3, size, size).

    Raises BadImage if ``data`` is not a complete image that can be converted to RGB.
    """
    with _pillow_errors_as_bad_image():
        return _decode(data, size, choose_box)


def decoder() -> str:
    """Return a name of what decodes images here: nowt's version of the conversions, that of Pillow, and a hash of those
    of its libraries. With another decoder, the same files may give other pixels."""
    libraries = repr([features.version(name) for name in LIBRARIES])
    return f"{VERSION}-pillow-{PIL.__version__}-{hashlib.sha256(libraries.encode()).hexdigest()[:8]}"


def broken_image_error(path: object, error: BadImage) -> DataError:
    """Return the error that names a broken or unsupported image and the ways to continue."""
    if isinstance(error, OutOfRange):
        return DataError(f"{path} cannot be used: {error}")
    if isinstance(error, UnsupportedImage):
        return DataError(f"{path} cannot be used: {error}; or set data.on_bad to skip, which skips such images")
    return DataError(f"{path} is broken ({error}): replace it, or set data.on_bad to skip, which skips broken images")


def verify(data: bytes) -> str:
    """Check that the bytes hold a complete image; return its kind, such as ``RGB JPEG``, ``CMYK JPEG`` or ``RGB PNG``.

    All data are read, decoded at the smallest size that the format supports. Raises BadImage if it is incomplete.
    """
    with _pillow_errors_as_bad_image(), Image.open(io.BytesIO(data)) as image:
        kind = f"{image.mode} {image.format}"
        image.draft(None, (1, 1))
        _rgb(image)
        return kind


def has_earlier_pixels(path: Path) -> bool:
    """Return whether the first version of these conversions gave the same pixels. Only the header is read.

    Raises BadImage if the file is not an image.
    """
    with _pillow_errors_as_bad_image(), Image.open(path) as image:
        if _tag(image, SAMPLE_FORMAT, 1) == SIGNED:
            return False
        if image.mode.startswith("I;16"):
            return _tag(image, BITS, 16) == 16 and _tag(image, PHOTOMETRIC, 1) != WHITE_IS_ZERO
        return image.mode in MODES_OF_8_BITS


@contextmanager
def _pillow_errors_as_bad_image() -> Iterator[None]:
    try:
        yield
    except BadImage:
        raise
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
    """Load the image and convert it to RGB. Pillow's own conversion clips the modes of more than 8 bits at 255."""
    image.load()
    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")  # a PGM: 0 to 65535
    if _tag(image, SAMPLE_FORMAT, 1) == SIGNED or (image.mode == "I" and not sixteen_bits):
        raise UnsupportedImage(f"it has signed or 32-bit integers, whose range is not stated; {SAVE}")
    if sixteen_bits:
        values = np.asarray(image).astype(np.int64)
        return _gray(image, values >> (_tag(image, BITS, 16) - 8), int(values.max()))
    if image.mode == "F":
        return _gray(image, _levels(np.asarray(image)), float(np.asarray(image).max()))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode not in MODES_OF_8_BITS:
        raise UnsupportedImage(f"nowt does not convert Pillow's mode {image.mode}; {SAVE}")
    return image.convert("RGB")


def _levels(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the levels 0 to 255 of floating-point values from 0 to 1."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise OutOfRange(f"its floating-point values range from {low:g} to {high:g}; {SCALE}, or {SAVE}")
    if not high >= low:
        raise UnsupportedImage(f"some of its floating-point values are not numbers; {SCALE}, or {SAVE}")
    return (values * 255).round().astype(np.int64)


def _gray(image: Image.Image, levels: NDArray[np.int64], highest: float) -> Image.Image:
    """Return the image with these levels. Raises UnsupportedImage if the values, up to ``highest``, are all level 0."""
    if highest > 0 and not levels.any():
        raise UnsupportedImage(f"its values, at most {highest:g}, would all be level 0 of 255; {SAVE}")
    if _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO:  # Pillow inverts 8 bits only
        levels = 255 - levels
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def _tag(image: Image.Image, number: int, default: int) -> int:
    """Return the first value of a TIFF's tag; ``default`` if it has none, or is not a TIFF."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)
