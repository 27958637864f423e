"""Decoding of image files: crops, color modes, broken files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.image_folders import in_order, opened, refused
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


def test_16_bit_gray_images_keep_their_levels(root: Path) -> None:
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(root / "val/cat/000.png")
    (root / "val/cat/000.jpg").unlink()
    x = in_order(opened(root).test)[0]
    assert abs(x[0].mean().item() * 0.229 + 0.485 - 40_000 / 65_536) < 0.01


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_truncated_image_is_named(root: Path, part: str) -> None:
    path = truncate(root / part / "cat/001.jpg")
    message = refused(root)
    assert str(path) in message and "truncated" in message and "--data.on_bad skip" in message
    assert not list((root.parent / "store/cache").glob("*.tmp"))


def test_a_file_that_is_not_an_image_is_named(root: Path) -> None:
    (root / "train/dog/001.jpg").write_text("<html>not found</html>")
    assert "train/dog/001.jpg is broken (not an image of a known format)" in refused(root)
