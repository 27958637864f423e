"""Layouts of an ILSVRC2012 copy, and sources that cannot be used."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.prepare_command import error_line, run_prepare
from tests.support.synthetic_ilsvrc import content, devkit, flatten_val, pack, pack_classes, solution, wnids

Captured = pytest.CaptureFixture[str]


def nested_tars(root: Path) -> None:
    labels = flatten_val(root)
    pack_classes(root, outer=True)
    pack(root / "val", root / "ILSVRC2012_img_val.tar")
    devkit(root, labels, dict.fromkeys(wnids(3), 4), packed=True)


def one_tar_per_class(root: Path) -> None:
    devkit(root, flatten_val(root), dict.fromkeys(wnids(3), 4))
    pack_classes(root)


def competition_download(root: Path) -> None:
    solution(root, flatten_val(root))
    (root / "ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    for part in ("train", "val"):
        (root / part).rename(root / "ILSVRC/Data/CLS-LOC" / part)
    lists = root / "ILSVRC/ImageSets/CLS-LOC"
    lists.mkdir(parents=True)
    (lists / "train_cls.txt").write_text("".join(f"{w}/{w}_{i} 1\n" for w in wnids(3) for i in range(4)))


def folders_named_like_the_tars(root: Path) -> None:
    for part in ("train", "val"):
        (root / part).rename(root / f"ILSVRC2012_img_{part}")


@pytest.mark.parametrize("layout", [nested_tars, one_tar_per_class, competition_download, folders_named_like_the_tars])
def test_a_copy_in_any_layout_becomes_class_folders(layout: object, source: Path, capsys: Captured) -> None:
    expected = content(source)
    layout(source)  # type: ignore[operator]
    before = {str(p): p.stat().st_mtime_ns for p in source.rglob("*")}
    target = run_prepare(source)
    assert content(target) == expected
    assert {str(p): p.stat().st_mtime_ns for p in source.rglob("*")} == before
    assert "12 training and 6 test images of 3 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: shutil.rmtree(root), "is not a folder with the ILSVRC2012 images or their tar"),
        (lambda root: shutil.rmtree(root / "val"), "has no val: expected val/ (class folders or tars)"),
        (flatten_val, "labels are missing: put LOC_val_solution.csv"),
        (lambda root: [p.rename(p.with_name(p.name[1:])) for p in (root / "train").iterdir()], "has no classes"),
        (
            lambda root: solution(root, dict(list(flatten_val(root).items())[1:])),
            "ILSVRC2012_val_00000001.JPEG, which has no",
        ),
    ],
)
def test_an_unusable_source_gives_a_one_line_error(
    damage: object, message: str, source: Path, capsys: Captured
) -> None:
    damage(source)  # type: ignore[operator]
    run_prepare(source, code=2)
    assert message in error_line(capsys)


@pytest.mark.parametrize("keep", [700, 30_000])
def test_a_truncated_tar_is_named(keep: int, source: Path, capsys: Captured) -> None:
    pack_classes(source, outer=True)
    path = source / "ILSVRC2012_img_train.tar"
    os.truncate(path, min(keep, path.stat().st_size - 2000))
    run_prepare(source, code=2)
    assert f"{path} " in (message := error_line(capsys)) and "download it again" in message
