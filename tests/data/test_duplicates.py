"""Images of equal content are counted, with examples, and change nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nowt.cli.main import main
from nowt.data.datasets import open_data
from nowt.data.duplicates import Part, describe_duplicates
from tests.support.image_folders import FOLDER, opened, placement

STUDY = """
from nowt import Backprop, Cell, DataConfig, ModelConfig, RunConfig, Study

MODEL = ModelConfig("mlp", hidden=(4,))


def study():
    config = RunConfig(model=MODEL, data=DataConfig("folder", size=8), rule=Backprop(), epochs=1, batch=8)
    return Study("images", "Which?", (Cell("bp", config),), seeds=(0,))
"""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Captured = pytest.CaptureFixture[str]


def part(split: str, *contents: int, classes: str = "") -> Part:
    """A part whose images have these contents; digests that differ only in their second half are different."""
    digests = np.zeros((len(contents), 16), np.uint8)
    digests[:, 15] = contents
    folder = {"val": "train", "test": "val"}.get(split, split)
    return Part(split, [f"{folder}/{split}{i}" for i in range(len(contents))], digests, classes or "c" * len(contents))


def test_images_of_different_content_are_no_duplicates() -> None:
    assert describe_duplicates([part("train", 1, 2, 3), part("test", 4)]) == ""


def test_copies_are_counted_within_and_across_splits_with_two_examples_of_each() -> None:
    line = describe_duplicates([part("train", 1, 1, 2, 1, 1), part("val", 3, 2), part("test", 3, 4, 4, 2)])
    assert line == (
        "7 of 11 images are copies of others, and are kept: "
        "3 within the training split (train/train1 = train/train0, train/train3 = train/train0, ...); "
        "1 of the validation split (folder train) also in the training split (train/val1 = train/train2); "
        "1 of the test split (folder val) also in the validation split (folder train) (val/test0 = train/val0); "
        "1 within the test split (folder val) (val/test2 = val/test1); "
        "1 of the test split (folder val) also in the training split (val/test3 = train/train2)"
    )


def test_a_copy_in_another_class_is_counted() -> None:
    line = describe_duplicates([part("train", 1, 1, 1, classes="aab")])
    assert line.endswith("; 1 of the 2 has another class than its original")
    line = describe_duplicates([part("train", 1, 1, 1, classes="abb")])
    assert line.endswith("; 2 of the 2 have other classes than their originals")


def test_copies_in_a_folder_are_counted_and_name_the_folder_of_the_test_split(root: Path, capsys: Captured) -> None:
    shutil.copy(root / "train/cat/003.jpg", root / "train/cat/copy of 003.jpg")
    shutil.copy(root / "train/cat/005.jpg", root / "val/dog/005.jpg")
    data = opened(root)
    assert len(data.train) + len(data.val) == 41
    assert data.duplicates.startswith("2 of 50 images are copies of others, and are kept: 1 ")
    for found in (
        "train/cat/copy of 003.jpg = train/cat/003.jpg",
        "val/dog/005.jpg = train/cat/005.jpg",
        "1 of the 2 ",
    ):
        assert found in data.duplicates
    assert "1 of the test split (folder val) also in the " in data.duplicates
    (root / "val").rename(root / "test")
    assert "1 of the test split also in the " in opened(root).duplicates
    assert "copies" not in capsys.readouterr().err


def test_validation_images_that_are_trained_on_are_no_copies(root: Path) -> None:
    data = opened(root, replace(FOLDER, hold_out=False))
    assert (len(data.train), len(data.val)) == (40, 4)
    assert data.duplicates == ""


def test_the_line_is_the_same_for_all_seeds_that_draw_the_split(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "train/cat/003.jpg", root / "train/cat/copy.jpg")
    shutil.copy(root / "train/cat/005.jpg", root / "val/cat/005.jpg")
    config, place = replace(FOLDER, split="by_seed"), placement(root)
    (line,) = {open_data(config, place, split_seed=seed).duplicates for seed in range(4)}
    assert ": 1 within the training and validation splits (folder train) (train/cat/copy.jpg = train/c" in line
    assert "; 1 of the test split (folder val) also in the training and validation splits (folder train) (val" in line


def test_a_folder_without_copies_is_no_line(root: Path) -> None:
    assert opened(root).duplicates == ""


def test_each_command_prints_the_line_once_and_the_report_contains_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(root / "train/cat/005.jpg", root / "val/cat/005.jpg")
    (tmp_path / "images.py").write_text(STUDY)
    words = ["./images.py", "--data-dir", str(root)]
    line = "1 of 49 images is a copy of another, and is kept: 1 of the test split (folder val) also in "
    for command in (["plan", *words], ["ablate", *words, "--in-process"], ["ablate", *words, "--in-process"]):
        assert main(command) == 0
        out, err = capsys.readouterr()
        assert (out + err).count(" a copy of another") == 1 and line in out
    assert main(["report", "images"]) == 0
    assert f" In the data set folder, {line}" in (tmp_path / "figures/methods.md").read_text()
    assert f" In the data set folder, {line}" in (tmp_path / "figures/report.md").read_text()
