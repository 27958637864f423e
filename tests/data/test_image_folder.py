"""Folders of pictures: layout, what is wrong with them, pictures left out, the cache of pixels."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.core.seeding import Seeds
from nowt.data import cache
from nowt.data.datasets import Data, open_data
from nowt.data.decode import decode
from nowt.data.splits import Split
from nowt.data.transforms import Box
from tests.support.drawn_images import draw, image_folder, truncate

SEEDS = Seeds().resolve(0)

FOLDER = DataConfig("folder", size=16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "pictures")


def place(root: Path) -> Placement:
    return Placement(store=str(root.parent / "store"), data=str(root), loaders=1)


def opened(root: Path, config: DataConfig = FOLDER) -> Data:
    return open_data(config, place(root))


def refused(root: Path, config: DataConfig = FOLDER) -> str:
    with pytest.raises(DataError) as caught:
        opened(root, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_order(split: Split | None) -> torch.Tensor:
    assert split is not None
    return torch.cat([x for x, _ in split.batches(7, drop_last=False)])


def test_val_is_the_test_part_and_a_tenth_of_train_is_validation(root: Path) -> None:
    data = opened(root)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 8)
    assert np.bincount(data.val.labels).tolist() == [2, 2]
    assert data.classes == 2 and data.shape == (3, 16, 16)


def test_a_limit_on_scoring_prepares_no_more_pictures_than_it_scores(root: Path) -> None:
    data = opened(root, replace(FOLDER, score_limit=2))
    assert [np.bincount(split.labels).tolist() for split in (data.val, data.test) if split is not None] == [[1, 1]] * 2
    prepared = sorted(path.stat().st_size // (3 * 16**2) for path in (root.parent / "store/cache").glob("*.pixels"))
    assert prepared == [2, 2, 36]
    assert len(in_order(data.test)) == 2


def test_a_folder_named_test_serves_as_well(root: Path) -> None:
    (root / "val").rename(root / "test")
    assert len(in_order(opened(root).test)) == 8


def test_imagenets_own_test_folder_is_left_alone(root: Path) -> None:
    draw(root / "test/unlabelled.jpg")
    assert len(in_order(opened(root, DataConfig("imagenet", size=16)).test)) == 8


def test_pictures_in_deeper_folders_count_and_other_files_do_not(root: Path) -> None:
    draw(root / "train/cat/deeper/one.PNG")
    (root / "train/cat/notes.txt").write_text("no picture")
    (root / "train/cat/._000.jpg").write_text("left behind by another system")
    data = opened(root)
    assert len(data.train) + len(data.val) == 41


def test_the_centre_square_is_resized(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "pictures")
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60] = (255, 128, 0)
    for name in ("cat", "dog"):
        shutil.rmtree(root / "val" / name)
        (root / "val" / name).mkdir()
        Image.fromarray(wide).save(root / "val" / name / "wide.png")
    x = in_order(opened(root).test)[0]
    colour = x * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    colour += torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    expected = torch.tensor([1.0, 128 / 255, 0.0])
    assert torch.allclose(colour[:, 2:-2, 2:-2], expected.view(3, 1, 1).expand(3, 12, 12), atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("1", "png"), ("LA", "png")],
)
def test_every_picture_becomes_rgb(root: Path, mode: str, kind: str) -> None:
    draw(root / f"val/cat/odd.{kind}", mode=mode)
    assert in_order(opened(root).test).shape == (9, 3, 16, 16)


def test_a_palette_with_transparency_is_read(root: Path) -> None:
    path = draw(root / "val/cat/odd.png", mode="P")
    with Image.open(path) as image:
        image.save(path, transparency=bytes([0, 128, 255]))
    assert in_order(opened(root).test).shape == (9, 3, 16, 16)


def test_sixteen_bits_of_grey_keep_their_shades(root: Path) -> None:
    Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(root / "val/cat/000.png")
    (root / "val/cat/000.jpg").unlink()
    x = in_order(opened(root).test)[0]
    assert abs(x[0].mean().item() * 0.229 + 0.485 - 40_000 / 65_536) < 0.01


def test_the_fingerprint_is_of_content_not_of_place(root: Path, tmp_path: Path) -> None:
    before = opened(root).fingerprint
    shutil.copytree(root, tmp_path / "elsewhere/copy")
    assert opened(tmp_path / "elsewhere/copy").fingerprint == before
    draw(root / "train/cat/another.jpg")
    assert opened(root).fingerprint != before


def test_a_folder_without_train_or_val_is_told_the_layout(root: Path) -> None:
    assert f"{root}/train has no folder train; expected train/CLASS/*.jpg" in refused(root / "train")
    shutil.rmtree(root / "val")
    assert f"{root} has no folder val or test for the test pictures" in refused(root)


def test_val_beside_test_is_refused(root: Path) -> None:
    shutil.copytree(root / "val", root / "test")
    assert f"{root} has both val and test" in refused(root)


def test_a_folder_without_classes_is_told_the_layout(root: Path) -> None:
    shutil.rmtree(root / "train")
    draw(root / "train/picture.jpg")
    assert f"{root}/train has 0 class folders" in refused(root)


def test_an_empty_class_is_named(root: Path) -> None:
    shutil.rmtree(root / "train/dog")
    (root / "train/dog").mkdir()
    assert f"{root}/train/dog holds no pictures (.bmp, .jpeg, .jpg" in refused(root)


def test_classes_that_differ_are_named(root: Path) -> None:
    (root / "val/dog").rename(root / "val/wolf")
    assert "different classes; only in train: dog; only in val: wolf" in refused(root)


def test_too_few_pictures_to_cut_a_tenth_are_refused(tmp_path: Path) -> None:
    assert "holds 4 training pictures: too few" in refused(image_folder(tmp_path / "pictures", train=2))


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_truncated_picture_is_named(root: Path, part: str) -> None:
    path = truncate(root / part / "cat/001.jpg")
    message = refused(root)
    assert str(path) in message and "truncated" in message and "--data.on_bad skip" in message
    assert not list((root.parent / "store/cache").glob("*.tmp"))


def test_a_file_that_is_no_picture_is_named(root: Path) -> None:
    (root / "train/dog/001.jpg").write_text("<html>not found</html>")
    assert "train/dog/001.jpg is broken (not a picture of a known kind)" in refused(root)


@pytest.mark.parametrize("augment", ["none", "resized_crop"])
def test_broken_pictures_can_be_skipped_and_are_told(root: Path, augment: str) -> None:
    truncate(root / "train/cat/001.jpg")
    (root / "val/dog/002.jpg").write_bytes(b"")
    config = replace(FOLDER, on_bad="skip", augment=augment)  # type: ignore[arg-type]
    data = opened(root, config)
    assert data.test is not None
    assert len(data.train) + len(data.val) == 39 and len(data.test) == 7
    assert [line.split(":")[0] for line in data.skipped] == ["train/cat/001.jpg", "val/dog/002.jpg"]
    again = opened(root, config)
    assert again.skipped == data.skipped and again.fingerprint == data.fingerprint
    (root / "val/dog/002.jpg").unlink()
    assert opened(root, config).fingerprint != data.fingerprint


def test_skipping_nothing_changes_nothing(root: Path) -> None:
    assert opened(root, replace(FOLDER, on_bad="skip")).fingerprint == opened(root).fingerprint


def test_a_class_with_broken_pictures_only_is_named(root: Path) -> None:
    for path in (root / "val/dog").iterdir():
        truncate(path)
    assert f"{root}/val/dog holds no picture that can be read" in refused(root, replace(FOLDER, on_bad="skip"))


def test_a_second_opening_reads_the_cache_and_not_the_pictures(root: Path) -> None:
    first = opened(root)
    for path in root.rglob("*.jpg"):
        path.write_bytes(bytes(path.stat().st_size))  # same names and sizes, nothing to decode
    second = opened(root)
    assert isinstance(second.train.pixels, np.memmap)  # type: ignore[attr-defined]
    assert all(torch.equal(in_order(a), in_order(b)) for a, b in ((first.train, second.train), (first.val, second.val)))


def test_each_size_has_a_cache_of_its_own(root: Path) -> None:
    assert in_order(opened(root).val).shape[2:] == (16, 16)
    assert in_order(opened(root, replace(FOLDER, size=24)).val).shape[2:] == (24, 24)


def test_openings_at_the_same_moment_prepare_the_pictures_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(path: Path, size: int, choose: Callable[[int, int], Box]) -> np.ndarray:
        decoded.append(path)
        return decode(path, size, choose)

    monkeypatch.setattr(cache, "decode", counted)
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: opened(root), range(4)))
    assert len(decoded) == 48
    assert all(torch.equal(in_order(data.train), in_order(several[0].train)) for data in several)
    kinds = sorted(path.suffix for path in (root.parent / "store/cache").iterdir())
    assert kinds == [".lock"] * 3 + [".pixels"] * 3


def test_what_a_killed_process_left_behind_is_replaced(root: Path) -> None:
    expected = in_order(opened(root).train)
    for path in (root.parent / "store/cache").glob("*.pixels"):
        path.with_suffix(".tmp").write_bytes(path.read_bytes()[:100])
        path.unlink()
    assert torch.equal(in_order(opened(root).train), expected)


def test_a_damaged_cache_is_named(root: Path) -> None:
    opened(root)
    for path in (root.parent / "store/cache").glob("*.pixels"):
        truncate(path)
    assert "belong: delete it" in refused(root)


def test_what_was_found_broken_is_kept_for_the_next_opening(root: Path) -> None:
    truncate(root / "train/cat/001.jpg")
    opened(root, replace(FOLDER, on_bad="skip"))
    lists = [json.loads(path.read_text()) for path in (root.parent / "store/cache").glob("*.json")]
    assert [list(found) for found in lists if found] == [["train/cat/001.jpg"]]
