"""The fingerprint of an image folder: its content, whatever the names, sizes and times of the files say."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from nowt.core.errors import DataError
from nowt.core.seeding import Seeds
from tests.support.image_folders import FOLDER, in_order, opened, refused
from tests.support.synthetic_images import draw


def test_other_pixels_under_the_same_names_sizes_and_times_change_the_fingerprint(bitmaps: Path) -> None:
    before = opened(bitmaps).fingerprint
    for path in bitmaps.rglob("*.bmp"):
        facts = path.stat()
        draw(path, seed=facts.st_ino)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        assert path.stat().st_size == facts.st_size
    assert opened(bitmaps).fingerprint != before


@pytest.mark.parametrize("on_bad", ["stop", "skip"])
def test_replaced_images_are_never_served_from_the_cache(bitmaps: Path, on_bad: str) -> None:
    config = replace(FOLDER, on_bad=on_bad)  # type: ignore[arg-type]
    opened(bitmaps, config)
    for path in bitmaps.rglob("*.bmp"):
        Image.new("RGB", (40, 30), "red").save(path)
    for split in (opened(bitmaps, config).train, opened(bitmaps, config).test):
        assert torch.allclose(in_order(split)[:, 0], torch.tensor((1 - 0.485) / 0.229))


def test_two_images_that_swap_their_names_change_the_fingerprint(bitmaps: Path) -> None:
    before = opened(bitmaps).fingerprint
    first, second = bitmaps / "train/cat/000.bmp", bitmaps / "train/dog/000.bmp"
    first.rename(bitmaps / "held")
    second.rename(first)
    (bitmaps / "held").rename(second)
    assert opened(bitmaps).fingerprint != before


def test_new_times_and_a_test_folder_of_the_other_name_keep_the_fingerprint(bitmaps: Path) -> None:
    before = opened(bitmaps).fingerprint
    for path in bitmaps.rglob("*.bmp"):
        os.utime(path, (0, 2**31))  # 2038: the clock of a camera
    assert opened(bitmaps).fingerprint == before
    (bitmaps / "val").rename(bitmaps / "test")
    assert opened(bitmaps).fingerprint == before


def test_two_folders_with_equal_names_sizes_and_times_do_not_share_a_fingerprint(bitmaps: Path) -> None:
    other = bitmaps.with_name("others")
    shutil.copytree(bitmaps, other)
    for path in [*bitmaps.rglob("*.bmp"), *other.rglob("*.bmp")]:
        if other in path.parents:
            draw(path, seed=7)
        os.utime(path, (0, 0))  # as archives that can be reproduced unpack
    assert opened(bitmaps).fingerprint != opened(other).fingerprint


def test_an_image_that_changes_between_listing_and_training_is_named(bitmaps: Path) -> None:
    config = replace(FOLDER, augment="resized_crop")
    data = opened(bitmaps, config)
    for path in (bitmaps / "train/cat").iterdir():
        draw(path, seed=99)
    with pytest.raises(DataError, match=r"train/cat/\d+\.bmp has changed since") as caught:
        list(data.train.batches(2, seeds=Seeds().resolve(0), drop_last=False))
    assert "\n" not in str(caught.value)


def test_an_image_that_cannot_be_read_is_named(bitmaps: Path) -> None:
    (bitmaps / "train/cat/000.bmp").unlink()
    (bitmaps / "train/cat/000.bmp").symlink_to("nowhere.bmp")
    assert "train/cat/000.bmp cannot be read: No such file" in refused(bitmaps)
