"""nowt data prepare imagenet: every form of an ILSVRC copy, what is wrong with one, and stopping in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.config.run_config import DataConfig
from nowt.core.errors import DataError
from nowt.data import cache, image_folder
from nowt.data.datasets import open_data
from nowt.data.imagenet import class_folder
from nowt.data.imagenet import expected as expected_counts
from nowt.data.imagenet.prepare import Asked, prepare
from tests.support.drawn_ilsvrc import content, flat, kit, pack, pack_classes, solution, tree, wnids
from tests.support.drawn_images import draw, truncate

Captured = pytest.CaptureFixture[str]

IMAGENET = DataConfig("imagenet", size=16, augment="resized_crop")


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of three classes with four training and two validation pictures each is the published one."""
    small = {"CLASSES": 3, "TRAIN": 12, "VAL": 6, "VAL_A_CLASS": 2, "FEWEST": 4, "MOST": 4}
    for name, value in small.items():
        monkeypatch.setattr(expected_counts, name, value)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tree(tmp_path / "ilsvrc")


def prepared(source: Path, *options: str, name: str = "imagenet", code: int = 0) -> Path:
    target = source.parent / name
    assert main(["data", "prepare", "imagenet", str(source), str(target), "--jobs", "2", *options]) == code
    return target


def line(capsys: Captured) -> str:
    _, err = capsys.readouterr()
    assert err.startswith("nowt: ") and err.count("\n") == 1, err
    return err


def as_tars(root: Path) -> None:
    labels = flat(root)
    pack_classes(root, outer=True)
    pack(root / "val", root / "ILSVRC2012_img_val.tar")
    kit(root, labels, dict.fromkeys(wnids(3), 4), packed=True)


def with_a_tar_a_class(root: Path) -> None:
    kit(root, flat(root), dict.fromkeys(wnids(3), 4))
    pack_classes(root)


def as_the_competition_has_it(root: Path) -> None:
    solution(root, flat(root))
    (root / "ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    for part in ("train", "val"):
        (root / part).rename(root / "ILSVRC/Data/CLS-LOC" / part)
    lists = root / "ILSVRC/ImageSets/CLS-LOC"
    lists.mkdir(parents=True)
    (lists / "train_cls.txt").write_text("".join(f"{w}/{w}_{i} 1\n" for w in wnids(3) for i in range(4)))


def under_the_tars_names(root: Path) -> None:
    for part in ("train", "val"):
        (root / part).rename(root / f"ILSVRC2012_img_{part}")


@pytest.mark.parametrize("form", [as_tars, with_a_tar_a_class, as_the_competition_has_it, under_the_tars_names])
def test_a_copy_in_any_form_becomes_class_folders(form: object, source: Path, capsys: Captured) -> None:
    expected = content(source)
    form(source)  # type: ignore[operator]
    before = {str(p): p.stat().st_mtime_ns for p in source.rglob("*")}
    target = prepared(source)
    assert content(target) == expected
    assert {str(p): p.stat().st_mtime_ns for p in source.rglob("*")} == before
    assert "12 training and 6 test pictures of 3 classes" in capsys.readouterr().out


@pytest.mark.parametrize("copy", [False, True])
def test_pictures_are_linked_or_copied_as_asked(copy: bool, source: Path) -> None:
    target = prepared(source, *["--copy"] * copy)
    name = f"train/{wnids(1)[0]}/{wnids(1)[0]}_0.JPEG"
    assert (target / name).samefile(source / name) != copy
    prepared(source, *["--copy"] * (not copy))  # asked for the other, all are done again
    assert (target / name).samefile(source / name) == copy


def test_the_official_strays_are_named_and_stay_as_they_are(source: Path, capsys: Captured) -> None:
    folder = source / "train" / wnids(1)[0]
    for old, new, kind, mode in (
        (0, "n02105855_2933.JPEG", "png", "RGB"),
        (1, "n01739381_1309.JPEG", "jpg", "CMYK"),
        (2, "odd.JPEG", "gif", "P"),
    ):
        (folder / f"{image_folder.name}_{old}.JPEG").unlink()
        draw(source / f"stray.{kind}", mode=mode).rename(folder / new)
    target = prepared(source)
    told = capsys.readouterr().out
    assert "PNG, as published, read as RGB: n02105855_2933.JPEG" in told
    assert "CMYK JPEG, as published, read as RGB: n01739381_1309.JPEG" in told
    assert "not as published, but read as RGB: odd.JPEG (P GIF)" in told
    assert content(target) == content(source)


def test_a_copy_that_is_not_whole_is_refused_and_can_be_taken_as_it_is(source: Path, capsys: Captured) -> None:
    first, second, third = wnids(3)
    truncate(source / "train" / first / f"{first}_1.JPEG")
    (source / "val" / second / "ILSVRC2012_val_00000002.JPEG").write_text("<html>not found</html>")
    shutil.rmtree(source / "val" / third)
    target = prepared(source, code=1)
    told = capsys.readouterr().out
    for problem in (
        f"train/{first}/{first}_1.JPEG is broken: Truncated File Read",
        f"val/{second}/ILSVRC2012_val_00000002.JPEG is broken: not a picture of a known kind",
        f"{third} is in train only",
        f"train/{first}: whole pictures 3, published are 4 to 4 a class",
        f"val/{second}: whole pictures 1, published are 2",
        "train: whole pictures 11, published are 12",
        "mend it and give the same command again, or take it with --partial",
    ):
        assert problem in told
    assert len((target / "problems.txt").read_text().splitlines()) == 7
    assert not (target / "pictures.tsv").exists()


def test_a_copy_taken_as_it_is_can_be_trained_on(source: Path, capsys: Captured) -> None:
    first = wnids(1)[0]
    truncate(source / "train" / first / f"{first}_1.JPEG")
    target = prepared(source, "--partial")
    assert f"{first}_1.JPEG is broken" in capsys.readouterr().out
    assert len(content(target)) == 17
    data = open_data(IMAGENET, place(target))
    assert len(data.train) + len(data.val) == 11


def test_a_class_that_is_missing_altogether_cannot_be_taken(source: Path, capsys: Captured) -> None:
    shutil.rmtree(source / "val" / wnids(3)[2])
    prepared(source, "--partial", code=2)
    assert f"hold different classes: {wnids(3)[2]} is in one of them only" in line(capsys)


def test_a_mended_picture_is_the_only_work_that_is_left(
    source: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wnids(1)[0]
    path = source / "train" / first / f"{first}_1.JPEG"
    whole = path.read_bytes()
    truncate(path)
    target = prepared(source, code=1)
    path.write_bytes(whole)
    looked = counted(monkeypatch)
    assert prepared(source) == target
    assert len(looked) == 4 and content(target) == content(source)
    assert not (target / "problems.txt").exists()


def test_the_kits_own_counts_name_the_class_that_lacks_a_picture(
    source: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected_counts, "FEWEST", 1)
    kit(source, flat(source), {**dict.fromkeys(wnids(3), 4), "n09999999": 4})
    (source / "train" / wnids(3)[1] / f"{wnids(3)[1]}_2.JPEG").unlink()
    prepared(source, code=1)
    told = capsys.readouterr().out
    assert f"train/{wnids(3)[1]}: whole pictures 3, published are 4\n" in told
    assert "n09999999 is in the list of classes, but not in train" in told


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: shutil.rmtree(root), "is no folder: SRC is the one with"),
        (lambda root: shutil.rmtree(root / "val"), "has no val: expected val/ (class folders or tars)"),
        (flat, "labels are missing: put LOC_val_solution.csv"),
        (lambda root: [p.rename(p.with_name(p.name[1:])) for p in (root / "train").iterdir()], "holds no class"),
        (lambda root: solution(root, dict(list(flat(root).items())[1:])), "ILSVRC2012_val_00000001.JPEG, which has no"),
    ],
)
def test_a_copy_that_cannot_be_used_is_told_in_one_line(
    spoil: object, told: str, source: Path, capsys: Captured
) -> None:
    spoil(source)  # type: ignore[operator]
    prepared(source, code=2)
    assert told in line(capsys)


@pytest.mark.parametrize("keep", [700, 30_000])
def test_a_tar_that_was_cut_short_is_named(keep: int, source: Path, capsys: Captured) -> None:
    pack_classes(source, outer=True)
    path = source / "ILSVRC2012_img_train.tar"
    os.truncate(path, min(keep, path.stat().st_size - 2000))
    prepared(source, code=2)
    assert f"{path} " in (told := line(capsys)) and "fetch it again" in told


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("ilsvrc", "lie in each other: SRC is never changed"),
        ("ilsvrc/below", "lie in each other"),
        (".", "lie in each other"),
        ("full", "holds other files: DST is a new folder"),
        ("afile", "is a file: DST is a new folder"),
    ],
)
def test_a_target_that_cannot_be_used_is_told_in_one_line(
    target: str, told: str, source: Path, capsys: Captured
) -> None:
    (source.parent / "full").mkdir()
    (source.parent / "full/thesis.tex").touch()
    (source.parent / "afile").touch()
    assert main(["data", "prepare", "imagenet", str(source), str(source.parent / target)]) == 2
    assert told in line(capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("data prepare cifar imagenet a", "imagenet"),
        ("data prepare imagenet a", "DST"),
        ("data prepare imagenet a b --jobs 0", "--jobs is 0: it must be at least 1"),
        ("data prepare imagenet a b --optim.lr 1", "there is no option --optim.lr here"),
        ("data prepare imagenet a b --store runs", "there is no option --store"),
    ],
)
def test_a_mistyped_command_is_told_in_one_line(words: str, told: str, capsys: Captured) -> None:
    assert main(words.split()) == 2
    assert told in line(capsys)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the pictures that are looked at from now on."""
    looked: list[int] = []

    def look(data: bytes, real: object = class_folder.look) -> str:
        looked.append(len(data))
        return real(data)  # type: ignore[operator,no-any-return]

    monkeypatch.setattr(class_folder, "look", look)
    return looked


def test_a_finished_copy_is_not_looked_at_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = prepared(source)
    listed = (target / "pictures.tsv").read_bytes()
    looked = counted(monkeypatch)
    assert prepared(source) == target
    assert looked == [] and (target / "pictures.tsv").read_bytes() == listed


def test_interrupted_it_says_how_to_go_on_and_keeps_the_finished_classes(
    source: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    real, seen = class_folder.look, threading.Event()

    def look(data: bytes) -> str:
        if len(list((source.parent / "imagenet/.prepare").glob("*/*.json"))) == 2 and not seen.is_set():
            seen.set()
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.5)
        return real(data)

    monkeypatch.setattr(class_folder, "look", look)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, heard))
    target = source.parent / "imagenet"
    words = ["data", "prepare", "imagenet", str(source), str(target), "--jobs", "1"]
    assert main(words) == 130
    assert f"run the same command again: nowt data prepare imagenet {source}" in line(capsys)
    looked = counted(monkeypatch)
    assert main(words) == 0
    assert len(looked) == 18 - 2 * 4
    assert "2 of 6 classes and parts were done before" in capsys.readouterr().out
    assert content(target) == content(source)


SLOW = """
import sys, time
from nowt.data.imagenet import class_folder
real = class_folder.look
def look(data):
    time.sleep(0.05)
    return real(data)
class_folder.look = look
from nowt.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_killed_in_the_middle_it_goes_on_with_the_classes_that_are_left(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_classes(source, outer=True)
    target = source.parent / "imagenet"
    words = ["data", "prepare", "imagenet", str(source), str(target), "--jobs", "1"]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words])
    deadline = time.monotonic() + 60
    while not list(target.glob(".prepare/train/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = len(list(target.glob(".prepare/train/*.json")))
    assert done >= 1 and not (target / "pictures.tsv").exists()
    looked = counted(monkeypatch)
    prepared(source)
    assert len(looked) <= 18 - 4 * done
    assert len(content(target)) == 18
    assert not list((target / ".prepare").rglob("*.tmp"))


def test_a_second_command_on_the_same_target_is_refused(source: Path, capsys: Captured) -> None:
    import fcntl

    target = prepared(source)
    capsys.readouterr()
    with (target / ".prepare/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepared(source, code=2)
    assert f"another command is preparing {target}" in line(capsys)


def place(root: Path) -> Placement:
    return Placement(store=str(root.parent / "store"), data=str(root), loaders=0)


def test_a_prepared_copy_is_opened_without_listing_it_and_is_the_same_data(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = prepared(source)
    listed = open_data(IMAGENET, place(source))

    def never(*_: object) -> None:
        raise AssertionError("the folder was listed, or every picture was decoded")

    monkeypatch.setattr(image_folder, "_pictures", never)
    monkeypatch.setattr(cache, "broken", never)
    data = open_data(IMAGENET, place(target))
    assert data.fingerprint == listed.fingerprint and data.classes == 3
    assert (len(data.train), len(data.val), len(data.test or ())) == (11, 1, 6)
    assert open_data(DataConfig("imagenet", size=16, on_bad="skip"), place(target)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: (root / "pictures.tsv").write_bytes(b"{}\n"), "is damaged: run nowt data prepare again"),
        (lambda root: os.truncate(root / "pictures.tsv", 300), "is damaged: run nowt data prepare again"),
        (lambda root: shutil.rmtree(root / "train" / wnids(1)[0]), "is not there, or not as"),
        (lambda root: draw(root / "train/n09999999/a.JPEG", seed=1), "n09999999 is not as"),
    ],
)
def test_a_list_that_no_longer_fits_the_folder_is_named(spoil: object, told: str, source: Path) -> None:
    target = prepared(source)
    spoil(target)  # type: ignore[operator]
    with pytest.raises(DataError, match=told) as caught:
        open_data(IMAGENET, place(target))
    assert "\n" not in str(caught.value)


def test_prepare_is_one_function(source: Path) -> None:
    said: list[str] = []
    assert prepare(Asked(source, source.parent / "imagenet", jobs=2), said.append)
    assert said[-1].endswith("12 training and 6 test pictures of 3 classes")
