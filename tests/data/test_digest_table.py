"""The table of digests in the store: a later start reads only new and changed images."""

import fcntl
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from nowt.data import class_folders, content, image_folder
from nowt.data.digest_table import DigestTable
from nowt.data.unused_files import unused_files
from tests.support.image_folders import FOLDER, opened, placement, refused
from tests.support.synthetic_images import draw, truncate

Reads = list[str]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The names of the images that are read for their digests. All files count as older than the clock's step."""
    names: Reads = []
    real = content._read

    def counted(root: Path, all_names: list[str], index: int) -> object:
        names.append(all_names[index])
        return real(root, all_names, index)

    monkeypatch.setattr(content, "_read", counted)
    monkeypatch.setattr(content, "CLOCK_STEP_NS", -1_000_000_000)
    return names


def read(root: Path) -> str:
    """Read the folder without decoding an image; return the digest of its content."""
    return image_folder.read(FOLDER, placement(root), 16).content


def tables(root: Path) -> list[Path]:
    return [*(root.parent / "store/cache").glob("*.npz")]


def table(root: Path) -> Path:
    (found,) = tables(root)
    return found


def test_a_second_start_reads_no_image(root: Path, reads: Reads) -> None:
    before = opened(root).fingerprint
    assert len(reads) == 48
    reads.clear()
    assert opened(root).fingerprint == before and reads == []


def test_a_changed_an_added_and_a_touched_image_are_read_again(root: Path, reads: Reads) -> None:
    opened(root)
    reads.clear()
    facts = (root / "train/cat/005.jpg").stat()
    (root / "train/cat/005.jpg").write_bytes((root / "train/dog/005.jpg").read_bytes()[: facts.st_size])
    os.utime(root / "train/cat/005.jpg", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    draw(root / "train/cat/new.jpg")
    os.utime(root / "val/dog/001.jpg", (0, 0))
    (root / "val/dog/002.jpg").unlink()
    read(root)
    assert sorted(reads) == ["train/cat/005.jpg", "train/cat/new.jpg", "val/dog/001.jpg"]


@pytest.mark.parametrize("step", [3600, 10**9])  # seconds; the second is as if the clock were set back
def test_an_image_as_young_as_the_clocks_step_is_read_again(
    step: int, root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "CLOCK_STEP_NS", step * 10**9)
    read(root)
    read(root)
    assert len(reads) == 2 * 48


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no table"),
        truncate,
        lambda path: path.write_bytes(bytes(b ^ (i == 700) for i, b in enumerate(path.read_bytes()))),
        lambda path: DigestTable(["a"], np.zeros((1, 2), np.int64), np.zeros((1, 16), np.uint8)).save(path, path),
    ],
)
def test_a_damaged_table_is_replaced(damage: Callable[[Path], object], root: Path, reads: Reads) -> None:
    before = opened(root).fingerprint
    damage(table(root))
    reads.clear()
    assert opened(root).fingerprint == before and len(reads) == 48
    reads.clear()
    assert opened(root).fingerprint == before and reads == []


def test_simultaneous_starts_read_every_image_once(root: Path, reads: Reads) -> None:
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: opened(root).fingerprint, range(4)))
    assert len(set(several)) == 1 and len(reads) == 48


def test_after_an_interrupt_the_images_that_were_read_are_not_read_again(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nowt.data.threads.CHUNK", 8)
    counted = content._read

    def interrupted(root: Path, names: list[str], index: int) -> object:
        if index == 20:
            raise KeyboardInterrupt
        return counted(root, names, index)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(content, "_read", interrupted)
        opened(root)
    reads.clear()
    opened(root)
    assert 24 <= len(reads) <= 28


def test_after_a_kill_the_images_that_were_saved_are_not_read_again(root: Path, reads: Reads) -> None:
    slow = (
        "import sys, time; from pathlib import Path; from nowt.data import content, threads\n"
        "from tests.support.image_folders import opened\n"
        "threads.CHUNK, content.SAVE_SECONDS, content.CLOCK_STEP_NS = 4, 0.0, -10**9\n"
        "real = content._read\n"
        "content._read = lambda *args: (time.sleep(0.05), real(*args))[1]\n"
        "opened(Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, str(root)])
    deadline = time.monotonic() + 60
    while not list((root.parent / "store").glob("cache/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    opened(root)
    assert 0 < len(reads) < 48


def test_an_image_that_is_being_written_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count()
    monkeypatch.setattr(content, "file_facts", lambda status: (status.st_size, next(times), 0))
    assert "changes while it is read: wait until the images are complete" in refused(root)


def test_an_image_that_is_replaced_between_listing_and_reading_counts_as_it_is(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, counted = root / "train/cat/003.jpg", content._read

    def replaced(root: Path, names: list[str], index: int) -> object:
        if names[index] == "train/cat/003.jpg":
            path.write_bytes((root / "train/cat/004.jpg").read_bytes())
        return counted(root, names, index)

    with monkeypatch.context() as patch:
        patch.setattr(content, "_read", replaced)
        first = opened(root).fingerprint
    assert opened(root).fingerprint == first


def test_the_digest_is_the_first_half_of_sha256(root: Path, reads: Reads) -> None:
    read(root)
    stored = DigestTable.load(table(root))
    path = root / stored.names[7]
    assert stored.digests[7].tobytes().hex() == hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def test_without_a_terminal_one_line_says_that_images_are_read(
    root: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nowt.data.threads.SILENT_SECONDS", 0.0)
    monkeypatch.setattr("nowt.data.threads.CHUNK", 8)
    read(root)
    assert capsys.readouterr().err == "nowt: reading images to identify them: 48 files ...\n"
    read(root)
    assert capsys.readouterr().err == ""


def test_a_process_that_waits_for_another_one_says_for_which(root: Path) -> None:
    lock = content.table_path(root, placement(root)).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    lock.write_text("4711")
    code = (
        "import sys; from pathlib import Path; from tests.support.image_folders import opened\n"
        "opened(Path(sys.argv[1]))"
    )
    words = [sys.executable, "-c", code, str(root)]
    with ExitStack() as held:
        fcntl.flock(held.enter_context(lock.open()), fcntl.LOCK_EX)
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            held.close()
            assert process.wait(timeout=60) == 0
    assert line == f"nowt: waiting for process 4711, which reads the images in {root}\n"


def test_images_that_are_gone_leave_the_table_when_it_is_written_next(root: Path, reads: Reads) -> None:
    read(root)
    (root / "train/cat/005.jpg").unlink()
    draw(root / "train/cat/new.jpg")
    read(root)
    names = DigestTable.load(table(root)).names
    assert "train/cat/new.jpg" in names and "train/cat/005.jpg" not in names and len(names) == 48


def test_doctor_names_the_tables_of_folders_that_are_gone_and_no_others(
    root: Path, reads: Reads, tmp_path: Path
) -> None:
    other = shutil.copytree(root, tmp_path / "gone")
    read(other)
    (of_other,) = tables(root)
    read(root)
    store = root.parent / "store"
    assert unused_files(store) == []
    shutil.rmtree(other)
    (line,) = unused_files(store)
    assert f"that this machine does not have ({other})" in line
    subprocess.run(["bash", "-c", "rm" + line.rpartition(": rm")[2]], check=True)
    assert not of_other.exists() and len(tables(root)) == 1 and unused_files(store) == []


def test_a_table_of_an_earlier_version_which_names_no_folder_is_read(root: Path, reads: Reads) -> None:
    read(root)
    with np.load(table(root)) as stored:
        earlier = {name: stored[name] for name in ("names", "facts", "digests")}
    np.savez(table(root), **earlier)
    reads.clear()
    read(root)
    assert reads == [] and unused_files(root.parent / "store") == []


@pytest.fixture
def coarse_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files have the same times, as on a file system whose clock is coarse."""
    real = class_folders.file_facts
    for module in (class_folders, content):
        monkeypatch.setattr(module, "file_facts", lambda status: (status.st_size, 0, 0, real(status)[3]))


@pytest.mark.usefixtures("coarse_clock", "reads")
def test_swapped_folders_are_noticed_if_the_clock_gave_their_files_the_same_times(bitmaps: Path) -> None:
    before = read(bitmaps)
    first, second = sorted((bitmaps / "train").iterdir())[:2]
    first.rename(bitmaps / "swap")
    second.rename(first)
    (bitmaps / "swap").rename(second)
    assert read(bitmaps) != before


@pytest.mark.usefixtures("coarse_clock", "reads")
def test_an_image_that_differs_from_the_table_is_named_once_and_the_next_start_reads_all_images(bitmaps: Path) -> None:
    read(bitmaps)
    draw(next((bitmaps / "train").rglob("*.bmp")), seed=99)  # in place, with the same size
    assert "has changed since its content was listed: run the same command again" in refused(bitmaps)
    assert len(opened(bitmaps).train) > 0
