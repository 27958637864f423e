"""``nowt data prepare tiny-imagenet``, on a miniature of it, as a zip file and unpacked."""

import shutil
import zipfile
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.data.imagenet.published import TINY_IMAGENET
from tests.support.image_folders import opened
from tests.support.prepare_command import count_verified, error_line
from tests.support.synthetic_ilsvrc import content, wnids
from tests.support.synthetic_images import draw, truncate
from tests.support.tiny_imagenet import packed, tiny_imagenet

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """An unpacked copy."""
    return tiny_imagenet(tmp_path / "download/tiny-imagenet-200")


def run_prepare(source: Path, target: Path, *options: str, code: int = 0) -> Path:
    assert main(["data", "prepare", "tiny-imagenet", str(source), str(target), "--jobs", "2", *options]) == code
    return target


def test_the_zip_and_the_unpacked_folder_give_the_same_data(tiny: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = run_prepare(tiny, tmp_path / "from folder")
    image = f"train/{wnids(1)[0]}/{wnids(1)[0]}_0.JPEG"
    assert (folder / image).samefile(tiny / image.replace(f"{wnids(1)[0]}/", f"{wnids(1)[0]}/images/", 1))
    lines = capsys.readouterr().out
    assert "the published test images have no labels: they are left out, and val is the test split" in lines
    assert "12 training and 6 test images of 3 classes" in lines
    assert f"Next: nowt plan rules_on_folder --data-dir {folder}" in lines
    outer = run_prepare(tiny.parent, tmp_path / "from the folder above")
    zipped = run_prepare(packed(tiny), tmp_path / "from zip")
    above = run_prepare(tiny.parent, tmp_path / "from the folder with the zip")
    assert content(folder) == content(outer) == content(zipped) == content(above) and len(content(zipped)) == 18
    assert len({opened(target).fingerprint for target in (folder, outer, zipped, above)}) == 1


def test_validation_images_are_in_the_class_of_their_annotation(tiny: Path, tmp_path: Path) -> None:
    rows = dict(line.split("\t")[:2] for line in (tiny / "val/val_annotations.txt").read_text().splitlines())
    target = run_prepare(tiny, tmp_path / "tiny")
    assert {path.name: path.parent.name for path in target.glob("val/*/*")} == rows


def test_a_finished_copy_is_not_verified_again(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tiny)
    run_prepare(path, tmp_path / "tiny")
    verified = count_verified(monkeypatch)
    run_prepare(path, tmp_path / "tiny")
    assert verified == []


def test_missing_and_broken_images_are_named(tiny: Path, tmp_path: Path, capsys: Captured) -> None:
    first, second, third = wnids(3)
    truncate(tiny / f"train/{first}/images/{first}_1.JPEG")
    (tiny / f"train/{second}/images/{second}_2.JPEG").unlink()
    shutil.rmtree(tiny / f"train/{third}")
    run_prepare(tiny, tmp_path / "tiny", code=1)
    lines = capsys.readouterr().out
    assert f"train/{first}/{first}_1.JPEG is broken" in lines
    assert f"train/{second}: 3 intact images; published: 4 per class" in lines
    assert f"{third} is in the list of classes but not in train" in lines
    assert "repair it and run the same command again" in lines
    assert not (tmp_path / "tiny/images.tsv").exists()


def test_the_published_counts() -> None:
    assert (TINY_IMAGENET.classes, TINY_IMAGENET.train, TINY_IMAGENET.val) == (200, 200 * 500, 200 * 50)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "val/val_annotations.txt").unlink(), "has no val/val_annotations.txt"),
        (
            lambda root: (root / "val/val_annotations.txt").write_text("a.JPEG n1\n"),
            "'a.JPEG n1', which names no class",
        ),
        (lambda root: draw(root / "val/images/val_99.JPEG"), "val/images/val_99.JPEG has no label"),
        (lambda root: shutil.rmtree(root / "val"), "does not contain Tiny ImageNet: expected tiny-imagenet-200.zip"),
    ],
)
def test_a_copy_that_is_not_tiny_imagenet_gives_one_line(
    damage: object, message: str, tiny: Path, tmp_path: Path, capsys: Captured
) -> None:
    damage(tiny)  # type: ignore[operator]
    run_prepare(tiny, tmp_path / "tiny", code=2)
    assert message in error_line(capsys)


def test_a_damaged_zip_is_named(tiny: Path, tmp_path: Path, capsys: Captured) -> None:
    path = packed(tiny)
    whole = path.read_bytes()
    truncate(path)
    run_prepare(path, tmp_path / "tiny", code=2)
    assert "is truncated or not a zip file" in error_line(capsys)
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        member = next(member for member in archive.infolist() if "/train/" in member.filename and member.file_size > 99)
    damaged = member.header_offset + len(member.filename) + 100
    path.write_bytes(whole[:damaged] + bytes([whole[damaged] ^ 1]) + whole[damaged + 1 :])
    run_prepare(path, tmp_path / "tiny", code=2)
    assert "download it again" in error_line(capsys)
    (tmp_path / "notes.txt").write_text("no zip")
    run_prepare(tmp_path / "notes.txt", tmp_path / "tiny", code=2)
    assert "notes.txt is not tiny-imagenet-200.zip, or a folder" in error_line(capsys)
