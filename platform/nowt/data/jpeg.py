"""Decodes training crops of JPEG files: only as many rows, and as many pixels, as the crop needs.

The pixels are those of libjpeg-turbo's full decoding, to the last bit, before they are resized.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from nowt.data.decode import Bytes
from nowt.data.transforms import Box

BASELINE = (0xC0, 0xC1)  # markers of frames whose rows are coded one after the other

OTHER_FRAMES = (0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)

SCAN = 0xDA

MAX_PIXELS = 2**26  # Pillow warns of larger images, and refuses those that are too large

END = b"\xff\xd9"  # the last two bytes of a complete JPEG

COLORS = ("Gray", "YCbCr", "RGB")  # CMYK is left to Pillow


@dataclass(frozen=True)
class Frame:
    """Where a JPEG's header has its height, and how many rows are coded together.

    Attributes:
        height_at: Position of the two bytes of the height.
        block_rows: Rows of pixels in a row of coded blocks.
    """

    height_at: int
    block_rows: int

    @classmethod
    def read(cls, data: bytes) -> "Frame | None":
        """Return the frame of a JPEG with a single scan; None if its rows are not coded one after the other."""
        frame, components, at = None, 0, 2
        while at + 10 < len(data) and data[at] == 0xFF:
            marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
            if marker in BASELINE:
                components = data[at + 9]
                factors = data[at + 11 : at + 10 + 3 * components : 3]
                frame = cls(at + 5, 8 * max((factor & 15 for factor in factors), default=1))
            if marker in OTHER_FRAMES:
                return None
            if marker == SCAN:
                return frame if data[at + 4] == components else None
            at += 2 + length if marker != 0xFF else 1
        return None


def decode_crop(data: bytes, size: int, choose_box: Callable[[int, int], Box]) -> Bytes | None:
    """Return the part of a JPEG in ``choose_box(width, height)``, resized: (3, size, size).

    Return None if it is no JPEG, a CMYK JPEG, very large, or incomplete: Pillow decodes it, or says what is wrong.
    """
    import simplejpeg

    if not data.startswith(b"\xff\xd8") or not data.endswith(END):
        return None
    try:
        height, width, color, _ = simplejpeg.decode_jpeg_header(data)
        if color not in COLORS or height * width > MAX_PIXELS:
            return None
        box = choose_box(width, height)
        # decoded at 1/2, 1/4 or 1/8 if that still has all the pixels needed
        factor = _reduction(min(box[2] - box[0], box[3] - box[1]) / size)
        shortened, rows = _without_rows_below(data, height, box[3] + 2 * factor)  # resizing looks beyond the edge
        at_least = {"min_height": math.ceil(rows / factor), "min_width": math.ceil(width / factor)}
        pixels = simplejpeg.decode_jpeg(shortened, "RGB", min_factor=1, strict=False, **at_least)
    except ValueError:
        return None
    if factor == 1:
        return resized(pixels.transpose(2, 0, 1), box, size)
    return _resized_between_pixels(pixels, box, size, (width, height), factor)


def _without_rows_below(data: bytes, height: int, lower: float) -> tuple[bytes, int]:
    """Return the file with a header that says how many rows are needed, and this number: its decoder stops there.

    The row of blocks below the crop is needed as well, since colors are interpolated between rows.
    """
    frame = Frame.read(data)
    if frame is None:
        return data, height
    rows = min(height, (math.ceil(lower / frame.block_rows) + 1) * frame.block_rows)
    at = frame.height_at
    return data[:at] + rows.to_bytes(2) + data[at + 2 :], rows


def _reduction(needed: float) -> int:
    """Return the largest of 1, 2, 4 and 8 that is at most ``needed``."""
    return max(factor for factor in (1, 2, 4, 8) if factor <= max(1.0, needed))


def resized(pixels: Bytes, box: Box, size: int) -> Bytes:
    """Return the box, at whole pixels, of an image (3, height, width): (3, size, size), with antialiasing."""
    left, upper, right, lower = map(round, box)
    part = torch.from_numpy(pixels[:, upper:lower, left:right])[None]
    found: Bytes = F.interpolate(part, (size, size), mode="bilinear", antialias=True)[0].numpy()
    return np.ascontiguousarray(found)


def _resized_between_pixels(pixels: Bytes, box: Box, size: int, whole: tuple[int, int], factor: int) -> Bytes:
    """Do as ``resized`` for an image that was decoded at 1/``factor`` of ``whole``, (width, height): the edges of the
    box may lie between its pixels. It has only as many rows as the crop needs."""
    x, y = (math.ceil(side / factor) / side for side in whole)
    inside = (box[0] * x, box[1] * y, min(box[2] * x, pixels.shape[1]), min(box[3] * y, pixels.shape[0]))
    small = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, inside)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))
