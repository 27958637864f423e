"""The line of ``nowt plan`` about a data set."""

from dataclasses import replace
from pathlib import Path

from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.data.datasets import open_data
from nowt.data.description import describe_data
from tests.support.image_folders import FOLDER, opened, placement
from tests.support.synthetic_images import draw, truncate


def described(root: Path, config: DataConfig = FOLDER) -> str:
    return describe_data(config, placement(root), opened(root, config))


def test_the_images_of_each_split_and_the_classes_are_counted(root: Path) -> None:
    counts = "36 training, 4 validation and 8 test images of 2 classes"
    assert described(root) == f"data folder in {root}: {counts}"
    assert "16 training, 2 validation and 2 test" in described(root, replace(FOLDER, train_limit=16, score_limit=2))
    assert "40 training, 4 validation (trained on as well) and" in described(root, replace(FOLDER, hold_out=False))
    config = DataConfig("synthetic")
    data = open_data(config, Placement(), test=False)
    line = describe_data(config, Placement(), data)
    assert line == "data synthetic: 720 training and 80 validation images of 10 classes"


def test_what_is_no_image_is_counted_by_its_kind(root: Path) -> None:
    for i in range(3):
        draw(root / f"train/cat/@eaDir/{i}.jpg/thumb.jpg")
        (root / f"train/dog/{i}.GIF").write_bytes(b"a format that is not read")
        (root / f"val/cat/._{i}.jpg").write_bytes(b"metadata")
        draw(root / f"train/loose {i}.jpg")
    for i in range(2):
        (root / f"val/dog/{i}.heic").write_bytes(b"a format that is not read")
    (root / "train/cat/.DS_Store").write_bytes(b"metadata")
    (root / "val/README").write_bytes(b"text")
    (root / "val/dog/lost+found").mkdir()
    expected = (
        "left out: 3 *.gif, 2 *.heic (formats that nowt does not read: convert them to JPEG or PNG), "
        "3 *.jpg in no class folder, 3 ._*, 1 .DS_Store, 1 @eaDir, 1 README in no class folder, and 1 more kind"
    )
    assert described(root).endswith(expected)


def test_broken_images_that_are_left_out_are_counted(root: Path) -> None:
    truncate(root / "train/cat/003.jpg")
    assert described(root, replace(FOLDER, on_bad="skip")).endswith("left out: 1 broken or unsupported image")
