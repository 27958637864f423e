"""Decoding of image files: crops, color modes, broken files."""

import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nowt.data import decode as decode_module
from nowt.data.decode import BadImage, verify
from tests.support.image_folders import FOLDER, in_order, opened, refused
from tests.support.synthetic_images import draw, image_folder, truncate


def test_the_center_square_is_resized(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60] = (255, 128, 0)
    for name in ("cat", "dog"):
        shutil.rmtree(root / "val" / name)
        (root / "val" / name).mkdir()
        Image.fromarray(wide).save(root / "val" / name / "wide.png")
    x = in_order(opened(root).test)[0]
    color = x * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    color += torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    expected = torch.tensor([1.0, 128 / 255, 0.0])
    assert torch.allclose(color[:, 2:-2, 2:-2], expected.view(3, 1, 1).expand(3, 12, 12), atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("1", "png"), ("LA", "png")],
)
def test_every_image_becomes_rgb(root: Path, mode: str, kind: str) -> None:
    draw(root / f"val/cat/odd.{kind}", mode=mode)
    assert in_order(opened(root).test).shape == (9, 3, 16, 16)


def test_a_palette_with_transparency_is_read(root: Path) -> None:
    path = draw(root / "val/cat/odd.png", mode="P")
    with Image.open(path) as image:
        image.save(path, transparency=bytes([0, 128, 255]))
    assert in_order(opened(root).test).shape == (9, 3, 16, 16)


def gray_level(root: Path, save: Callable[[Path], object], name: str) -> float:
    """Return the gray level, 0 to 1, of a test image that ``save`` writes in place of one of the folder's."""
    (root / "val/cat/000.jpg").unlink()
    save(root / "val/cat" / name)
    x = in_order(opened(root).test)[0]
    return x[0].mean().item() * 0.229 + 0.485


def gray(value: float, kind: object) -> Image.Image:
    return Image.fromarray(np.full((30, 30), value, kind))  # type: ignore[call-overload]


def pgm(levels: int, value: int) -> bytes:
    return f"P5 30 30 {levels}\n".encode() + np.full((30, 30), value, ">u2").tobytes()


@pytest.mark.parametrize(
    ("name", "save", "level"),
    [
        ("000.png", gray(40_000, np.uint16).save, 40_000 / 65_536),
        ("000.tif", gray(40_000, np.uint16).save, 40_000 / 65_536),
        ("000.pgm", lambda path: path.write_bytes(pgm(65_535, 40_000)), 40_000 / 65_536),
        ("000.pgm", lambda path: path.write_bytes(pgm(4_095, 1_000)), 1_000 / 4_096),
        ("000.tif", gray(0.25, np.float32).save, 0.25),
        ("000.tif", gray(1.0, np.float32).save, 1.0),
        ("000.tif", lambda path: gray(40_000, np.uint16).save(path, tiffinfo={262: 0}), 1 - 40_000 / 65_536),
        ("000.tif", lambda path: gray(200, np.uint8).save(path, tiffinfo={262: 0}), 200 / 255),
    ],
)
def test_images_of_more_than_8_bits_keep_their_levels(
    name: str, save: Callable[[Path], object], level: float, root: Path
) -> None:
    assert abs(gray_level(root, save, name) - level) < 0.01


def test_a_12_bit_image_keeps_its_levels(root: Path) -> None:
    path = root / "val/cat/000.tif"
    packed = bytes([0x12, 0x31, 0x23]) * (30 * 30 // 2)  # every value is 0x123
    gray(0, np.uint16).save(path)
    bits = [struct.pack("<HHIHH", 258, 3, 1, count, 0) for count in (16, 12)]  # Pillow writes no TIFF of 12 bits
    header = path.read_bytes()[: -2 * 30 * 30]
    assert header.count(bits[0]) == 1
    path.write_bytes(header.replace(*bits) + packed.ljust(2 * 30 * 30, b"\0"))
    (root / "val/cat/000.jpg").unlink()
    x = in_order(opened(root).test)[0]
    assert abs(x[0].mean().item() * 0.229 + 0.485 - 0x123 / 4096) < 0.01


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (
            gray(40_000, np.int32),
            "it has signed or 32-bit integers, whose range is not stated; save it with 8 or 16 bits",
        ),
        (gray(np.nan, np.float32), "some of its floating-point values are not numbers; scale all images"),
        (gray(255, np.uint16), "its values, at most 255, would all be level 0 of 255; save it with 8 or 16 bits"),
        (gray(0.001, np.float32), "its values, at most 0.001, would all be level 0 of 255; save it"),
    ],
)
def test_values_without_a_stated_range_are_refused_by_name_or_skipped(
    image: Image.Image, reason: str, root: Path
) -> None:
    image.save(root / "val/cat/x-ray.tif")
    assert f"{root}/val/cat/x-ray.tif cannot be used: {reason}" in refused(root)
    data = opened(root, replace(FOLDER, on_bad="skip"))
    assert len(data.skipped) == 1 and data.skipped[0].startswith(f"val/cat/x-ray.tif: {reason}")
    with pytest.raises(BadImage, match=r"range|not numbers|level 0"):
        verify((root / "val/cat/x-ray.tif").read_bytes())


@pytest.mark.parametrize("value", [255.0, -0.5])
def test_floating_point_images_outside_0_to_1_are_not_skipped(value: float, root: Path) -> None:
    """In a data set of 0 to 255, only its dark images would remain, scaled by another rule than they need."""
    gray(value, np.float32).save(root / "val/cat/bright.tif")
    gray(0.9, np.float32).save(root / "val/cat/dark.tif")
    for config in (FOLDER, replace(FOLDER, on_bad="skip")):
        message = refused(root, config)
        assert f"bright.tif cannot be used: its floating-point values range from {value:g} to {value:g}; " in message
        assert "scale all images of the data set to 0 to 1 by one rule, or save it" in message
        assert "on_bad" not in message


@pytest.mark.parametrize("sample_format", [16, 8])
def test_signed_integers_are_refused(sample_format: int, root: Path) -> None:
    kind = {8: np.uint8, 16: np.uint16}[sample_format]
    gray(3, kind).save(root / "val/cat/signed.tif", tiffinfo={339: 2})
    assert "signed.tif cannot be used: it has signed or 32-bit integers" in refused(root)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_have_their_stored_color(mode: str, root: Path) -> None:
    def save(path: Path) -> None:
        image = Image.new("RGBA", (30, 30), (102, 102, 102, 0))
        image.convert(mode).save(path, **({"transparency": 0} if mode == "P" else {}))

    assert abs(gray_level(root, save, "000.png") - 0.4) < 0.01


def test_every_mode_of_pillow_is_converted_or_refused() -> None:
    for mode in [*Image.MODES, "La", "RGBa", "I;16L", "I;16B", "I;16N"]:
        try:
            decode_module._rgb(Image.new(mode, (4, 4)))
        except BadImage as error:
            assert mode in ("I", "La"), error
        else:
            assert mode not in ("I", "La")


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_truncated_image_is_named(root: Path, part: str) -> None:
    path = truncate(root / part / "cat/001.jpg")
    message = refused(root)
    assert str(path) in message and "truncated" in message and "set data.on_bad to skip" in message
    assert not list((root.parent / "store/cache").glob("*.tmp"))


def test_a_file_that_is_not_an_image_is_named(root: Path) -> None:
    (root / "train/dog/001.jpg").write_text("<html>not found</html>")
    assert "train/dog/001.jpg is broken (not an image of a known format)" in refused(root)
