"""``nowt data prepare imagenet``: options, targets, and continuing after an interruption."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.data.imagenet import class_folder
from nowt.data.imagenet.prepare import PrepareOptions, prepare
from tests.support.prepare_command import count_verified, error_line, run_prepare
from tests.support.synthetic_ilsvrc import content, pack_classes, wnids
from tests.support.synthetic_images import draw, truncate

Captured = pytest.CaptureFixture[str]


SLOW = """
import sys, time
from nowt.data.imagenet import class_folder
real = class_folder.verify
def verify(data):
    time.sleep(0.05)
    return real(data)
class_folder.verify = verify
from nowt.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("copy", [False, True])
def test_images_are_hard_links_unless_copies_are_requested(copy: bool, source: Path) -> None:
    target = run_prepare(source, *["--copy"] * copy)
    name = f"train/{wnids(1)[0]}/{wnids(1)[0]}_0.JPEG"
    assert (target / name).samefile(source / name) != copy
    run_prepare(source, *["--copy"] * (not copy))  # the other mode redoes every class
    assert (target / name).samefile(source / name) == copy


def test_after_repairing_an_image_only_its_class_is_verified_again(
    source: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wnids(1)[0]
    path = source / "train" / first / f"{first}_1.JPEG"
    intact = path.read_bytes()
    truncate(path)
    target = run_prepare(source, code=1)
    path.write_bytes(intact)
    verified = count_verified(monkeypatch)
    assert run_prepare(source) == target
    assert len(verified) == 4 and content(target) == content(source)
    assert not (target / "problems.txt").exists()


def test_copies_of_images_are_named(source: Path, capsys: Captured) -> None:
    for path in source.rglob("*.JPEG"):
        draw(path, seed=path.stat().st_ino)
    run_prepare(source)
    assert "copy of another" not in capsys.readouterr().out
    first, other = wnids(2)
    name = f"{first}/ILSVRC2012_val_00000001.JPEG"
    shutil.copy(source / f"train/{other}/{other}_2.JPEG", source / f"val/{name}")
    run_prepare(source)
    kind = "1 of the test split (folder val) also in the training split"
    copies = f"{kind} (val/{name} = train/{other}/{other}_2.JPEG); it has another class than its original"
    assert f"1 of 18 images is a copy of another, and is kept: {copies}\n" in capsys.readouterr().out


def test_images_that_the_user_put_into_the_copy_are_kept_and_reported(source: Path, capsys: Captured) -> None:
    target, first = run_prepare(source), wnids(1)[0]
    folder = target / "train" / first
    mine = draw(folder / "mine.JPEG", seed=1).read_bytes()
    (folder / f"{first}_0.JPEG").unlink()
    other = draw(folder / f"{first}_0.JPEG", seed=2).read_bytes()
    capsys.readouterr()
    run_prepare(source)
    assert content(target) == content(source)
    removed = target / ".prepare/removed"
    assert f"{target}: 2 images that are not in SRC were moved to {removed}: train/" in capsys.readouterr().out
    assert (removed / "train" / first / "mine.JPEG").read_bytes() == mine
    assert (removed / "train" / first / f"{first}_0.JPEG").read_bytes() == other
    draw(folder / "mine.JPEG", seed=3)
    run_prepare(source)
    assert (removed / "train" / first / "mine.JPEG").read_bytes() == mine
    assert (removed / "train" / first / "mine.2.JPEG").is_file()
    capsys.readouterr()
    run_prepare(source)
    assert "moved" not in capsys.readouterr().out


def test_an_image_of_the_source_that_was_replaced_by_one_of_the_same_size_is_prepared_again(
    source: Path, tmp_path: Path
) -> None:
    first = wnids(1)[0]
    target = run_prepare(source)
    name = f"train/{first}/{first}_0.JPEG"
    size = (source / name).stat().st_size
    (source / name).unlink()  # the copy's hard link keeps the former image
    new = draw(tmp_path / "new.jpg", seed=77, width=20).read_bytes().ljust(size, b"\0")
    (source / name).write_bytes(new)
    assert (target / name).read_bytes() != new and len(new) == size
    run_prepare(source)
    assert (target / name).read_bytes() == new


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ilsvrc", "must not contain each other: SRC is never modified"),
        ("ilsvrc/below", "must not contain each other"),
        (".", "must not contain each other"),
        ("full", "contains other files: DST must be a new folder"),
        ("afile", "is a file: DST must be a new folder"),
    ],
)
def test_an_unusable_target_gives_a_one_line_error(target: str, message: str, source: Path, capsys: Captured) -> None:
    (source.parent / "full").mkdir()
    (source.parent / "full/thesis.tex").touch()
    (source.parent / "afile").touch()
    assert main(["data", "prepare", "imagenet", str(source), str(source.parent / target)]) == 2
    assert message in error_line(capsys)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("data prepare cifar imagenet a", "imagenet"),
        ("data prepare imagenet a", "DST"),
        ("data prepare imagenet a b --jobs 0", "--jobs is 0: it must be at least 1"),
        ("data prepare imagenet a b --optim.lr 1", "there is no option --optim.lr"),
        ("data prepare imagenet a b --store runs", "there is no option --store"),
    ],
)
def test_a_mistyped_command_gives_a_one_line_error(args: str, message: str, capsys: Captured) -> None:
    assert main(args.split()) == 2
    assert message in error_line(capsys)


def test_a_finished_copy_is_not_verified_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = run_prepare(source)
    manifest = (target / "images.tsv").read_bytes()
    verified = count_verified(monkeypatch)
    assert run_prepare(source) == target
    assert verified == [] and (target / "images.tsv").read_bytes() == manifest


def test_after_an_interrupt_the_message_gives_the_command_and_finished_classes_are_kept(
    source: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    real, seen, delivered = class_folder.verify, threading.Event(), threading.Event()

    def interrupt(number: int, frame: object) -> None:
        delivered.set()
        signal.default_int_handler(number, None)

    def verify(data: bytes) -> str:
        if len(list((source.parent / "imagenet/.prepare").glob("*/*.json"))) == 2 and not seen.is_set():
            seen.set()
            signal.raise_signal(signal.SIGINT)
            assert delivered.wait(60)
            time.sleep(0.5)  # until the main thread has cancelled the remaining classes
        return real(data)

    monkeypatch.setattr(class_folder, "verify", verify)
    previous = signal.signal(signal.SIGINT, interrupt)  # ignored where the tests run in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, previous))
    target = source.parent / "imagenet"
    args = ["data", "prepare", "imagenet", str(source), str(target), "--jobs", "1"]
    assert main(args) == 130
    assert f"run the same command again: nowt data prepare imagenet {source}" in error_line(capsys)
    verified = count_verified(monkeypatch)
    assert main(args) == 0
    assert len(verified) == 18 - 2 * 4
    assert "2 of 6 class folders were already complete" in capsys.readouterr().out
    assert content(target) == content(source)


def test_after_a_kill_the_command_continues_with_the_remaining_classes(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_classes(source, outer=True)
    target = source.parent / "imagenet"
    args = ["data", "prepare", "imagenet", str(source), str(target), "--jobs", "1"]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *args])
    deadline = time.monotonic() + 60
    while not list(target.glob(".prepare/train/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = len(list(target.glob(".prepare/train/*.json")))
    assert done >= 1 and not (target / "images.tsv").exists()
    verified = count_verified(monkeypatch)
    run_prepare(source)
    assert len(verified) <= 18 - 4 * done
    assert len(content(target)) == 18
    assert not list((target / ".prepare").rglob("*.tmp"))


def test_a_second_command_on_the_same_target_is_refused(source: Path, capsys: Captured) -> None:
    import fcntl

    target = run_prepare(source)
    capsys.readouterr()
    with (target / ".prepare/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_prepare(source, code=2)
    assert f"{target} is being prepared by process " in error_line(capsys)


def test_prepare_can_be_called_as_a_function(source: Path) -> None:
    lines: list[str] = []
    assert prepare(PrepareOptions(source, source.parent / "imagenet", jobs=2), lines.append)
    assert lines[-1].endswith("12 training and 6 test images of 3 classes")
