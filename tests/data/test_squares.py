"""Crops from squares that are decoded once: the same augmentation, from files that are decoded in one epoch only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.config.run_key import non_default_fields
from nowt.core.errors import ConfigError
from nowt.core.seeding import Seeds
from nowt.data.datasets import DatasetSplits, open_data
from tests.support.synthetic_images import image_folder

SEEDS = Seeds().resolve(0)

CROPS = DataConfig("folder", size=16, augment="resized_crop", decoded_side=20)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "images")


def opened(root: Path, config: DataConfig = CROPS, loaders: int = 0) -> DatasetSplits:
    return open_data(config, Placement(store=str(root.parent / "store"), data=str(root), loaders=loaders))


def shown(data: DatasetSplits, epoch: int = 0) -> torch.Tensor:
    return torch.cat([x for x, _ in data.train.batches(8, seeds=SEEDS, epoch=epoch, drop_last=True)])


def test_files_are_decoded_once_and_crops_still_change_with_the_epoch(root: Path) -> None:
    data = opened(root)
    first = shown(data)
    assert first.shape == (32, 3, 16, 16)
    for path in root.glob("train/*/*.jpg"):
        path.write_bytes(b"")  # nothing reads it any more
    assert torch.equal(shown(data), first) and not torch.equal(shown(data, epoch=1), first)


def test_crops_do_not_depend_on_the_number_of_loaders_which_share_one_file(root: Path) -> None:
    alone = shown(opened(root))
    assert all(torch.equal(shown(opened(root, loaders=n)), alone) for n in (1, 2))
    pixels = list((root.parent / "store" / "cache").glob("*.pixels"))
    sizes = sorted(path.stat().st_size for path in pixels)
    assert sizes[-1] == 36 * 3 * 20**2  # of the training images; the others are validation and test images
    assert len(pixels) == 3


def test_a_crop_of_a_square_shows_the_same_part_as_a_crop_of_a_square_file(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images")
    ramp = np.linspace(0, 255, 64)
    image = np.stack([np.broadcast_to(ramp[:, None], (64, 64)), np.broadcast_to(ramp, (64, 64)), np.zeros((64, 64))], 2)
    for path in root.glob("train/*/*.jpg"):
        path.unlink()
        Image.fromarray(image.astype(np.uint8)).save(path.with_suffix(".png"))
    once, each = (shown(opened(root, replace(CROPS, decoded_side=side))) for side in (64, None))
    assert (once - each).abs().max() < 0.05  # standard deviations of the pixels: three of 255 levels


def test_it_is_part_of_the_key_and_for_resized_crops_only(root: Path) -> None:
    assert "decoded_side" not in non_default_fields(replace(CROPS, decoded_side=None))
    assert non_default_fields(CROPS)["decoded_side"] == 20
    with pytest.raises(
        ConfigError, match=r"^data.decoded_side is for data.augment resized_crop, not for flip: leave it"
    ):
        replace(CROPS, augment="flip")
    with pytest.raises(ConfigError, match=r"^data.decoded_side is 15: it must be at least data.size, which is 16$"):
        opened(root, replace(CROPS, decoded_side=15))
