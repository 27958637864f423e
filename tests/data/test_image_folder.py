"""Image folders: layout, mistakes, skipped images."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nowt.config.run_config import DataConfig
from tests.support.image_folders import FOLDER, in_order, opened, refused
from tests.support.synthetic_images import draw, image_folder, truncate


def test_val_is_the_test_split_and_a_tenth_of_train_is_validation(root: Path) -> None:
    data = opened(root)
    assert data.test is not None
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 8)
    assert np.bincount(data.val.labels).tolist() == [2, 2]
    assert data.classes == 2 and data.shape == (3, 16, 16)


def test_a_folder_named_test_is_accepted(root: Path) -> None:
    (root / "val").rename(root / "test")
    assert len(in_order(opened(root).test)) == 8


def test_the_unlabeled_test_folder_of_imagenet_is_ignored(root: Path) -> None:
    draw(root / "test/unlabeled.jpg")
    assert len(in_order(opened(root, DataConfig("imagenet", size=16)).test)) == 8


def test_images_in_subfolders_are_read_and_other_files_ignored(root: Path) -> None:
    for path in sorted((root / "train").glob("*/*.jpg")):
        folder = path.parent / f"camera {path.stem[-1]}/{path.stem[1]}"
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name.replace(".jpg", ".JPG"))
    (root / "train/cat/notes.txt").write_text("not an image")
    (root / "train/cat/._000.jpg").write_text("metadata of another system")
    data = opened(root)
    assert len(data.train) + len(data.val) == 40


@pytest.mark.parametrize(
    "folder",
    ["@eaDir", "#recycle", "#snapshot", "@__thumb", "__MACOSX", "lost+found", "$RECYCLE.BIN", ".ipynb_checkpoints"],
)
def test_what_file_systems_and_archives_add_is_left_out(folder: str, root: Path) -> None:
    before = opened(root).fingerprint
    draw(root / "train/cat" / folder / "000.jpg/SYNOPHOTO_THUMB_M.jpg")
    draw(root / "val/dog" / folder / "000.jpg")
    for part in ("train", "val"):  # else a third class
        draw(root / part / folder / "cat/000.jpg")
    (root / "train/cat/._000.jpg").write_text("metadata of another system")
    (root / "train/cat/Thumbs.db").write_bytes(b"thumbnails")
    data = opened(root)
    assert data.fingerprint == before and data.classes == 2 and len(data.train) == 36


def test_images_nested_deeper_than_the_others_are_refused_with_their_folders(root: Path) -> None:
    for i in range(3):
        draw(root / f"train/cat/thumbs/{i}.jpg", seed=i)
    draw(root / "train/dog/backup/0.jpg")
    message = refused(root)
    assert f"{root} has 4 images nested deeper below their class folders than the other 40 images" in message
    assert message.endswith("of train to the same depth: train/cat/thumbs, train/dog/backup")


def test_a_class_of_thumbnails_in_both_parts_is_refused(root: Path) -> None:
    for part in ("train", "val"):
        draw(root / part / "thumbs/cat/000.jpg")
    assert "nested deeper" in refused(root) and "train/thumbs/cat" in refused(root)


def test_the_fingerprint_depends_on_content_not_on_location(root: Path, tmp_path: Path) -> None:
    before = opened(root).fingerprint
    shutil.copytree(root, tmp_path / "elsewhere/copy")
    assert opened(tmp_path / "elsewhere/copy").fingerprint == before
    draw(root / "train/cat/another.jpg")
    assert opened(root).fingerprint != before


def test_a_missing_train_or_val_folder_is_named(root: Path) -> None:
    assert f"{root}/train has no folder train; expected train/CLASS/*.jpg" in refused(root / "train")
    shutil.rmtree(root / "val")
    assert f"{root} has no folder val or test for the test images" in refused(root)


def test_val_beside_test_is_refused(root: Path) -> None:
    shutil.copytree(root / "val", root / "test")
    assert f"{root} has both val and test" in refused(root)


def test_a_train_folder_without_classes_is_refused(root: Path) -> None:
    shutil.rmtree(root / "train")
    draw(root / "train/image.jpg")
    assert f"{root}/train has 0 class folders" in refused(root)


def test_an_empty_class_is_named(root: Path) -> None:
    shutil.rmtree(root / "train/dog")
    (root / "train/dog").mkdir()
    assert f"{root}/train/dog contains no images (.bmp, .jpeg, .jpg" in refused(root)


def test_a_class_of_images_in_another_format_names_the_format(root: Path) -> None:
    for path in (root / "train/dog").iterdir():
        path.rename(path.with_suffix(".HEIC"))
    assert "), but 20 *.heic (formats that nowt does not read: convert them to JPEG or PNG); expected" in refused(root)


def test_classes_that_differ_are_named(root: Path) -> None:
    (root / "val/dog").rename(root / "val/wolf")
    assert "different classes; only in train: dog; only in val: wolf" in refused(root)


def test_too_few_images_for_a_validation_split_are_refused(tmp_path: Path) -> None:
    assert "has 4 training images: too few" in refused(image_folder(tmp_path / "images", train=2))


@pytest.mark.parametrize("augment", ["none", "resized_crop"])
def test_broken_images_can_be_skipped_and_are_reported(root: Path, augment: str) -> None:
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


def test_on_bad_skip_without_broken_images_keeps_the_fingerprint(root: Path) -> None:
    assert opened(root, replace(FOLDER, on_bad="skip")).fingerprint == opened(root).fingerprint


def test_a_class_without_intact_images_is_named(root: Path) -> None:
    for path in (root / "val/dog").iterdir():
        truncate(path)
    assert f"{root}/val/dog contains no image that can be read" in refused(root, replace(FOLDER, on_bad="skip"))
