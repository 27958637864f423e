"""The manifest of a prepared copy: same data as listing the folder, and damaged manifests."""

import json
import os
import shutil
from pathlib import Path

import pytest

from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.core.seeding import Seeds
from nowt.data import cache, content, image_folder
from nowt.data.datasets import open_data
from tests.support.prepare_command import count_verified, placement, run_prepare
from tests.support.synthetic_ilsvrc import wnids
from tests.support.synthetic_images import draw

IMAGENET = DataConfig("imagenet", size=16, augment="resized_crop")

FIRST = f"train/{wnids(1)[0]}/{wnids(1)[0]}_0.JPEG"


def replaced(path: Path) -> None:
    """Put another image in the place of one that may be a hard link."""
    path.unlink()
    draw(path, seed=1, width=60)


def test_a_prepared_copy_is_opened_from_its_manifest_with_the_same_fingerprint(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run_prepare(source)
    listed = open_data(IMAGENET, placement(source))

    def never(*_: object) -> None:
        raise AssertionError("the folder was listed, or every image was decoded")

    monkeypatch.setattr(image_folder, "list_images", never)
    monkeypatch.setattr(content, "content_digests", never)
    monkeypatch.setattr(cache, "broken_images", never)
    data = open_data(IMAGENET, placement(target))
    assert data.fingerprint == listed.fingerprint and data.classes == 3
    assert (len(data.train), len(data.val), len(data.test or ())) == (11, 1, 6)
    assert open_data(DataConfig("imagenet", size=16, on_bad="skip"), placement(target)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "images.tsv").write_bytes(b"{}\n"), "is damaged: run nowt data prepare again"),
        (lambda root: os.truncate(root / "images.tsv", 300), "is damaged: run nowt data prepare again"),
        (
            lambda root: shutil.rmtree(root / "train" / wnids(1)[0]),
            "n01440764 is missing, so the folder does not match",
        ),
        (lambda root: shutil.rmtree(root / "val"), "imagenet/val is missing or empty"),
        (
            lambda root: draw(root / "train/n09999999/a.JPEG", seed=1),
            "n09999999 is not in the list, so .*: move it away, or",
        ),
        (lambda root: (root / FIRST).unlink(), "_0.JPEG is missing, so .*: run nowt data prepare again, or"),
        (lambda root: draw(root / "val" / wnids(1)[0] / "new.JPEG", seed=1), "new.JPEG is not in the list"),
        (lambda root: replaced(root / FIRST), r"_0.JPEG has \d+ bytes, in the list \d+, so"),
        (lambda root: [p.unlink() for p in (root / FIRST).parent.glob("*_[12]*")], r"_1.JPEG is missing \(and 1 more"),
    ],
)
def test_a_manifest_that_no_longer_matches_the_folder_is_named(damage: object, message: str, source: Path) -> None:
    target = run_prepare(source)
    damage(target)  # type: ignore[operator]
    with pytest.raises(DataError, match=message) as caught:
        open_data(IMAGENET, placement(target))
    assert "\n" not in str(caught.value)


def test_an_image_that_was_replaced_is_named_and_preparing_again_repairs_the_copy(source: Path) -> None:
    target = run_prepare(source, "--copy")
    before = open_data(IMAGENET, placement(target))
    for path in (target / "train").rglob("*.JPEG"):
        draw(path, seed=99)
        path.write_bytes(path.read_bytes().ljust(len((source / path.relative_to(target)).read_bytes()), b"\0"))
    with pytest.raises(DataError, match=r"JPEG has changed since .*\(after nowt data prepare") as caught:
        list(before.train.batches(4, seeds=Seeds().resolve(0), drop_last=False))
    assert "\n" not in str(caught.value)
    (target / "images.tsv").unlink()
    assert open_data(IMAGENET, placement(target)).fingerprint != before.fingerprint
    run_prepare(source, "--copy")
    assert open_data(IMAGENET, placement(target)).fingerprint == before.fingerprint


def outdated(target: Path) -> None:
    """Turn a prepared copy into that of an earlier version, without digests."""
    lines = (target / "images.tsv").read_text().splitlines()
    body = "".join(line.rpartition("\t")[0] + "\n" for line in lines[1:])
    (target / "pictures.tsv").write_text(json.dumps({"nowt_pictures": 1}) + "\n" + body)
    (target / "images.tsv").unlink()
    for path in target.glob(".prepare/*/*.json"):
        record = json.loads(path.read_text())
        pictures = [entry[:2] for entry in record.pop("images")]
        del record["in_place"]
        path.write_text(json.dumps({**record, "pictures": pictures}))


def test_a_copy_of_an_earlier_version_is_read_once_with_one_line(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = run_prepare(source)
    before = open_data(IMAGENET, placement(target)).fingerprint
    outdated(target)
    capsys.readouterr()
    assert open_data(IMAGENET, placement(target)).fingerprint == before
    (line,) = capsys.readouterr().err.splitlines()
    assert f"nowt: {target}/pictures.tsv is from an earlier version and has no digests: all images are read" in line


def test_preparing_a_copy_of_an_earlier_version_again_writes_the_new_list(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run_prepare(source)
    expected = (target / "images.tsv").read_bytes()
    outdated(target)
    verified = count_verified(monkeypatch)
    run_prepare(source)
    assert len(verified) == 18 and (target / "images.tsv").read_bytes() == expected
    assert not (target / "pictures.tsv").exists()
