"""`nowt doctor --cluster --data-dir` compares the nodes' images: names, sizes and, for a limited time, contents."""

import shutil
from pathlib import Path

import pytest

from nowt.cluster.image_comparison import compare_images
from nowt.cluster.node_images import describe_images
from nowt.data.class_folders import IGNORED
from tests.support.synthetic_images import draw, image_folder


@pytest.fixture
def copies(tmp_path: Path) -> dict[str, Path]:
    """The image folders of two nodes, by address."""
    first = image_folder(tmp_path / "10.0.0.1", train=4, test=2)
    return {"10.0.0.1": first, "10.0.0.2": shutil.copytree(first, tmp_path / "10.0.0.2")}


def compared(copies: dict[str, Path], seconds: float = 60.0) -> list[str]:
    images = {address: describe_images(str(root), IGNORED, seconds) for address, root in copies.items()}
    return [str(each) for each in compare_images(images, "~/data", "copy it", 300)]


def test_copies_of_a_folder_are_the_same_and_it_is_said_how_much_was_compared(copies: dict[str, Path]) -> None:
    draw(copies["10.0.0.2"] / "train/cat/@eaDir/thumb.jpg")
    (copies["10.0.0.2"] / ".prepare").mkdir()
    every = "ok       images: ~/data is the same on every node: names and sizes of 12 files, contents of 12 of them"
    assert compared(copies) == [every]
    assert compared(copies, seconds=0)[0].endswith("names and sizes of 12 files, contents of 0 of them")


def test_an_image_of_other_content_and_the_same_size_is_named(copies: dict[str, Path]) -> None:
    for name in ("train/cat/001.jpg", "val/dog/000.jpg"):
        path = copies["10.0.0.2"] / name
        path.write_bytes(path.read_bytes()[:-3] + b"abc")
    (line,) = compared(copies)
    assert line.startswith("failed   images: the content of ~/data/train/cat/001.jpg is not the same on all nodes (")
    assert " on 10.0.0.1; " in line or " on 10.0.0.2; " in line
    assert line.endswith("), and 1 more differ: where it is wrong, copy it")


def test_a_missing_image_and_another_size_are_found_without_reading(copies: dict[str, Path]) -> None:
    (copies["10.0.0.1"] / "train/dog/003.jpg").unlink()
    (copies["10.0.0.2"] / "val/cat/000.jpg").write_bytes(b"short")
    (line,) = compared(copies, seconds=0)
    assert "~/data/train/dog is not the same on all nodes (3 files, " in line and "and 1 more differ" in line


def test_a_folder_that_only_one_node_has_is_missing_on_the_other(copies: dict[str, Path]) -> None:
    shutil.rmtree(copies["10.0.0.1"] / "val/cat")
    (line,) = compared(copies)
    assert "~/data/val/cat is not the same on all nodes (2 files, " in line and "; missing on 10.0.0.1)" in line


def test_a_folder_with_one_file_is_described_in_the_singular(tmp_path: Path) -> None:
    draw(tmp_path / "train/cat/000.jpg")
    assert describe_images(str(tmp_path), IGNORED, 60.0)["folders"]["train/cat"].startswith("1 file, ")


def test_a_link_to_nothing_is_compared_too(copies: dict[str, Path]) -> None:
    path = copies["10.0.0.1"] / "train/cat/000.jpg"
    path.unlink()
    path.symlink_to("nowhere.jpg")
    folder, content = compared(copies)
    assert "~/data/train/cat is not the same" in folder
    assert "~/data/train/cat/000.jpg is not the same" in content and "No such file or directory on 10.0.0.1" in content


def test_a_node_that_takes_too_long_is_not_compared() -> None:
    (found,) = compare_images({"10.0.0.1": None}, "~/data", "copy it", 300)
    assert found.state == "failed" and "10.0.0.1 did not list ~/data within 300 s" in found.message
