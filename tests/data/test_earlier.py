"""Image folders as earlier versions identified them: by names and sizes, and whether their pixels may be others."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.data.datasets import open_data
from nowt.data.earlier import identify
from tests.support.image_folders import FOLDER, opened, placement
from tests.support.synthetic_images import draw, image_folder


@pytest.fixture
def bitmaps(tmp_path: Path) -> Path:
    """A folder of bitmaps, all of one size in bytes."""
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            for i in range(6):
                draw(tmp_path / "images" / part / name / f"{i:03}.bmp", seed=i)
    return tmp_path / "images"


def test_the_fingerprint_of_earlier_versions_is_that_of_names_and_sizes(bitmaps: Path) -> None:
    before = identify(FOLDER, placement(bitmaps))
    draw(bitmaps / "train/cat/000.bmp", seed=12345)
    after = identify(FOLDER, placement(bitmaps))
    assert after.earlier == before.earlier and after.fingerprint != before.fingerprint
    (bitmaps / "train/cat/000.bmp").rename(bitmaps / "train/cat/0000.bmp")
    assert identify(FOLDER, placement(bitmaps)).earlier != before.earlier


def test_todays_fingerprint_is_that_of_a_run(bitmaps: Path) -> None:
    data, found = opened(bitmaps), identify(FOLDER, placement(bitmaps))
    assert (found.fingerprint, found.classes, found.shape) == (data.fingerprint, data.classes, data.shape)


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_data_in_memory_has_one_fingerprint_that_depends_on_every_pixel(name: str) -> None:
    config = DataConfig(name)  # type: ignore[arg-type]
    data, found = open_data(config, Placement()), identify(config, Placement())
    assert found.earlier == found.fingerprint == data.fingerprint
    assert (found.newest, found.other_pixels, found.shape) == (0.0, (), data.shape)


def test_the_newest_image_is_named(bitmaps: Path) -> None:
    os.utime(bitmaps / "val/dog/003.bmp", (4e9, 4e9))
    found = identify(FOLDER, placement(bitmaps))
    assert (found.newest, found.newest_name) == (4e12, "val/dog/003.bmp")


def test_usual_images_have_the_pixels_of_earlier_versions(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    for mode, kind in (("L", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("RGB", "tif"), ("L", "pgm")):
        draw(root / f"val/cat/{mode}.{kind}", mode=mode)
    Image.fromarray(np.full((30, 30), 20_000, np.uint16)).save(root / "val/dog/deep.png")
    Image.fromarray(np.full((30, 30), 20_000, np.uint16)).save(root / "val/dog/deep.tif")
    assert identify(FOLDER, placement(root)).other_pixels == ()


def test_images_with_other_pixels_than_in_earlier_versions_are_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    Image.fromarray(np.full((30, 30), 0.5, np.float32)).save(root / "val/cat/float.tif")
    (root / "val/dog/deep.pgm").write_bytes(b"P5 30 30 65535\n" + np.full((30, 30), 20_000, ">u2").tobytes())
    assert identify(FOLDER, placement(root)).other_pixels == ("val/cat/float.tif", "val/dog/deep.pgm")
