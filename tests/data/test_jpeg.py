"""Training crops of JPEG files have the pixels of the whole decoded image, although less of it is decoded."""

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
import torch.nn.functional as F
from PIL import Image

from nowt.data.decode import Bytes, decode
from nowt.data.jpeg import Frame, decode_crop
from nowt.data.transforms import Box

SIZE = 32

TOP: Box = (16, 8, 70, 62)

BOTTOM: Box = (100, 150, 163, 211)


def jpeg(mode: str = "RGB", width: int = 163, height: int = 211, **options: Any) -> bytes:
    """Return a JPEG of smooth noise, whose colors differ between rows."""
    stream = np.random.default_rng(0)
    small = stream.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def from_whole_image(data: bytes, box: Box) -> Bytes:
    """Return the crop, resized, of the completely decoded image."""
    left, upper, right, lower = map(int, box)
    part = simplejpeg.decode_jpeg(data, "RGB")[upper:lower, left:right]
    x = torch.from_numpy(part).permute(2, 0, 1)[None]
    resized: Bytes = F.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)[0].numpy()
    return resized


@pytest.mark.parametrize("box", [TOP, BOTTOM, (0, 0, 163, 1), (0, 0, 40, 209)], ids=["top", "bottom", "row", "column"])
@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(subsampling="4:4:4"),
        jpeg(subsampling="4:2:2"),
        jpeg(mode="L"),
        jpeg(progressive=True),
        jpeg(optimize=True, restart_marker_blocks=3),
        jpeg(exif=b"Exif\0\0" + bytes(range(256))),
    ],
    ids=["4:2:0", "4:4:4", "4:2:2", "gray", "progressive", "restart markers", "exif"],
)
def test_a_crop_equals_that_of_the_whole_image(data: bytes, box: Box) -> None:
    crop = decode_crop(data, SIZE, lambda width, height: box)
    assert crop is not None and np.array_equal(crop, from_whole_image(data, box))


def test_rows_below_the_crop_are_not_decoded() -> None:
    data = jpeg()
    frame = Frame.read(data)
    assert frame is not None and frame.block_rows == 16
    assert int.from_bytes(data[frame.height_at : frame.height_at + 2]) == 211
    damaged = data[: len(data) * 2 // 3] + bytes(len(data) // 4) + data[len(data) * 2 // 3 + len(data) // 4 :]
    crop = decode_crop(damaged, SIZE, lambda width, height: TOP)
    assert crop is not None and np.array_equal(crop, from_whole_image(data, TOP))


def test_a_progressive_image_is_decoded_as_a_whole() -> None:
    assert Frame.read(jpeg(progressive=True)) is None


@pytest.mark.parametrize(
    "data",
    [jpeg(mode="CMYK"), jpeg()[:-2], jpeg()[:2000], b"\xff\xd8\xff\xd9", b"", b"no image", jpeg()[:20] + b"\xff\xd9"],
    ids=["CMYK", "without its end", "truncated", "empty", "no bytes", "text", "header"],
)
def test_what_is_no_complete_color_jpeg_is_left_to_pillow(data: bytes) -> None:
    assert decode_crop(data, SIZE, lambda width, height: TOP) is None


@pytest.mark.parametrize("side", [70, 140, 300, 500])
def test_an_image_decoded_at_a_reduced_size_has_the_pixels_of_pillow_to_one_level(side: int) -> None:
    data = jpeg(width=side, height=side + 100)
    box = (1.0, 8.0, side - 2.0, side + 78.0)
    crop, pillow = decode_crop(data, SIZE, lambda *_: box), decode(data, SIZE, lambda *_: box)
    assert crop is not None
    assert np.abs(crop.astype(int) - pillow.astype(int)).max() <= 1


def test_an_image_decoded_at_its_own_size_is_close_to_that_of_pillow() -> None:
    crop, pillow = decode_crop(jpeg(), SIZE, lambda *_: TOP), decode(jpeg(), SIZE, lambda *_: TOP)
    assert crop is not None
    assert np.abs(crop.astype(int) - pillow.astype(int)).mean() < 0.5
