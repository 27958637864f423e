"""Images of equal content are counted, with examples, and change nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nowt.data import content
from nowt.data.duplicates import Part, describe_duplicates
from tests.support.image_folders import FOLDER, opened

Captured = pytest.CaptureFixture[str]


def part(split: str, *contents: int, classes: str = "") -> Part:
    """A part whose images have these contents; digests that differ only in their second half are different."""
    digests = np.zeros((len(contents), 16), np.uint8)
    digests[:, 15] = contents
    return Part(split, [f"{split}/{i}" for i in range(len(contents))], digests, classes or "c" * len(contents))


def test_images_of_different_content_are_no_duplicates() -> None:
    assert describe_duplicates([part("train", 1, 2, 3), part("test", 4)]) == ""


def test_copies_are_counted_within_and_across_splits_with_two_examples_of_each() -> None:
    line = describe_duplicates([part("train", 1, 1, 2, 1, 1), part("val", 3, 2), part("test", 3, 4, 4, 2)])
    assert line == (
        "7 of 11 images are copies of others, and are kept: "
        "3 within train (train/1 = train/0, train/3 = train/0, ...); "
        "1 of val also in train (val/1 = train/2); "
        "1 of test also in val (test/0 = val/0); "
        "1 within test (test/2 = test/1); "
        "1 of test also in train (test/3 = train/2)"
    )


def test_a_copy_in_another_class_is_counted() -> None:
    assert describe_duplicates([part("train", 1, 1, 1, classes="aab")]).endswith("; 1 in another class")


def test_copies_in_a_folder_are_reported_at_the_first_start_and_count(
    root: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "CLOCK_STEP_NS", -1_000_000_000)  # so that the images are old enough for the table
    shutil.copy(root / "train/cat/003.jpg", root / "train/cat/copy of 003.jpg")
    shutil.copy(root / "train/cat/005.jpg", root / "val/dog/005.jpg")
    data = opened(root)
    assert len(data.train) + len(data.val) == 41
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "copies" in line]
    assert line.startswith(f"nowt: {root}: 2 of 50 images are copies of others, and are kept: 1 ")
    for found in ("train/cat/copy of 003.jpg = train/cat/003.jpg", "val/dog/005.jpg = train/cat/005.jpg", "1 in ano"):
        assert found in line
    assert opened(root).duplicates == line.partition(f"{root}: ")[2]
    assert "copies" not in capsys.readouterr().err


def test_validation_images_that_are_trained_on_are_no_copies(root: Path, capsys: Captured) -> None:
    data = opened(root, replace(FOLDER, hold_out=False))
    assert (len(data.train), len(data.val)) == (40, 4)
    assert data.duplicates == "" and "copies" not in capsys.readouterr().err


def test_a_folder_without_copies_is_no_line(root: Path, capsys: Captured) -> None:
    assert opened(root).duplicates == "" and "copies" not in capsys.readouterr().err
