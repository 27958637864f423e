"""Temporary names: each writer has its own, and only files that no living writer completes are removed."""

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from nowt.core.process_identity import host_name
from nowt.store.temporary_files import remove_leftovers, temporary_folder, temporary_path
from tests.support.ended_processes import ended_process


def name_of(pid: int, host: str) -> str:
    return f"a.pt.{host}-{pid}-1.tmp"


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    return ended_process()


def test_a_temporary_name_has_host_and_process_and_belongs_to_one_thread(tmp_path: Path) -> None:
    found = [temporary_path(tmp_path / "a.pt")]
    other = Thread(target=lambda: found.append(temporary_path(tmp_path / "a.pt")))
    other.start()
    other.join()
    assert len({*found}) == 2
    assert all(path.name.startswith(f"a.pt.{host_name()}-{os.getpid()}-") for path in found)
    assert temporary_path(tmp_path / "a.pt") == found[0]


def test_files_of_ended_processes_and_old_files_are_removed_and_those_of_living_writers_stay(
    tmp_path: Path, ended: int
) -> None:
    living, elsewhere = name_of(os.getppid(), host_name()), name_of(ended, "another-host.pt")
    old, earlier = name_of(os.getppid(), "long-gone"), "a.tmp4711"
    for name in (living, elsewhere, name_of(ended, host_name()), old, earlier, "b.pt"):
        (tmp_path / name).write_bytes(b"half a file")
    for name in (old, earlier):
        os.utime(tmp_path / name, (0, time.time() - 25 * 3600))
    temporary_path(tmp_path / "a.pt").write_bytes(b"of an attempt that failed")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {living, elsewhere, "b.pt"}


def test_files_of_earlier_versions_stay_for_a_day(tmp_path: Path) -> None:
    (tmp_path / "a.tmp4711").touch()
    remove_leftovers(tmp_path)
    assert (tmp_path / "a.tmp4711").exists()


def test_a_temporary_folder_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path, ended: int) -> None:
    killed, living = tmp_path / f".mlflow.{host_name()}-{ended}-1.tmp", tmp_path / f".mlflow.elsewhere-{ended}-1.tmp"
    for folder in (killed, living):
        folder.mkdir()
        (folder / "mlflow.db").touch()
    with temporary_folder(tmp_path / ".mlflow") as own:
        assert own.is_dir() and not killed.exists() and living.exists()
    assert [*tmp_path.iterdir()] == [living]
