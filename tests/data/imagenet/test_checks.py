"""Comparison of a copy with the published data set."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.config.run_config import DataConfig
from nowt.data.datasets import open_data
from nowt.data.imagenet.prepare import EDITIONS
from tests.support.prepare_command import error_line, placement, run_prepare
from tests.support.synthetic_ilsvrc import content, devkit, flatten_val, wnids
from tests.support.synthetic_images import draw, truncate

Captured = pytest.CaptureFixture[str]


IMAGENET = DataConfig("imagenet", size=16, augment="resized_crop")


def test_unusual_published_images_are_named_and_stored_unchanged(source: Path, capsys: Captured) -> None:
    folder = source / "train" / wnids(1)[0]
    for old, new, kind, mode in (
        (0, "n02105855_2933.JPEG", "png", "RGB"),
        (1, "n01739381_1309.JPEG", "jpg", "CMYK"),
        (2, "odd.JPEG", "gif", "P"),
    ):
        (folder / f"{folder.name}_{old}.JPEG").unlink()
        draw(source / f"unusual.{kind}", mode=mode).rename(folder / new)
    target = run_prepare(source)
    message = capsys.readouterr().out
    assert "PNG, as published, read as RGB: n02105855_2933.JPEG" in message
    assert "CMYK JPEG, as published, read as RGB: n01739381_1309.JPEG" in message
    assert "not as published, but read as RGB: odd.JPEG (P GIF)" in message
    assert content(target) == content(source)


def test_an_incomplete_copy_is_refused_with_every_difference_listed(source: Path, capsys: Captured) -> None:
    first, second, third = wnids(3)
    truncate(source / "train" / first / f"{first}_1.JPEG")
    (source / "val" / second / "ILSVRC2012_val_00000002.JPEG").write_text("<html>not found</html>")
    shutil.rmtree(source / "val" / third)
    target = run_prepare(source, code=1)
    message = capsys.readouterr().out
    for problem in (
        f"train/{first}/{first}_1.JPEG is broken: Truncated File Read",
        f"val/{second}/ILSVRC2012_val_00000002.JPEG is broken: not an image of a known format",
        f"{third} is only in train",
        f"train/{first}: 3 intact images; published: 4 per class",
        f"val/{second}: 1 intact image; published: 2",
        "train: 11 intact images; published: 12",
        "repair it and run the same command again, or accept it with --partial",
    ):
        assert problem in message
    assert len((target / "problems.txt").read_text().splitlines()) == 7
    assert not (target / "images.tsv").exists()


def test_an_incomplete_copy_accepted_with_partial_can_be_trained_on(source: Path, capsys: Captured) -> None:
    first = wnids(1)[0]
    truncate(source / "train" / first / f"{first}_1.JPEG")
    target = run_prepare(source, "--partial")
    assert f"{first}_1.JPEG is broken" in capsys.readouterr().out
    assert len(content(target)) == 17
    data = open_data(IMAGENET, placement(target))
    assert len(data.train) + len(data.val) == 11


def test_a_copy_that_lacks_a_class_in_val_is_refused_even_with_partial(source: Path, capsys: Captured) -> None:
    shutil.rmtree(source / "val" / wnids(3)[2])
    run_prepare(source, "--partial", code=2)
    assert f"have different classes: {wnids(3)[2]} is in only one of them" in error_line(capsys)


def test_the_counts_of_the_development_kit_name_the_class_that_lacks_an_image(
    source: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = replace(EDITIONS["imagenet"].counts, train_per_class=(1, 4))
    monkeypatch.setitem(EDITIONS, "imagenet", replace(EDITIONS["imagenet"], counts=counts))
    devkit(source, flatten_val(source), {**dict.fromkeys(wnids(3), 4), "n09999999": 4})
    (source / "train" / wnids(3)[1] / f"{wnids(3)[1]}_2.JPEG").unlink()
    run_prepare(source, code=1)
    message = capsys.readouterr().out
    assert f"train/{wnids(3)[1]}: 3 intact images; published: 4\n" in message
    assert "n09999999 is in the list of classes but not in train" in message
