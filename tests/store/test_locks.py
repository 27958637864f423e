"""Locks: of a file, of a log that is replaced, and of a process."""

from collections.abc import Callable
from fcntl import flock
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.store.files import write_atomically
from nowt.store.locks import LogInUse, LogLock, lock_file, process_lock, study_lock


def test_an_exclusive_lock_shuts_out_others_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second:
        assert lock_file(first)
        assert not lock_file(second) and not lock_file(second, shared=True)
        first.close()
        assert lock_file(second, wait=True)


def test_shared_locks_allow_each_other_and_no_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second, path.open("w") as third:
        assert lock_file(first, shared=True) and lock_file(second, shared=True)
        assert not lock_file(third)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "k.jsonl"
    path.write_text("a line\n")
    return path


def replace(path: Path) -> None:
    write_atomically(path, "another line\n", durable=False)


@pytest.mark.parametrize("change", [replace, Path.unlink])
def test_a_log_that_is_replaced_before_it_is_locked_has_one_writer(
    change: Callable[[Path], None], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def lock_late(file: int, operation: int) -> None:
        if not calls:
            change(log)  # by ``nowt merge``, after the writer has opened the log
        calls.append(operation)
        flock(file, operation)

    monkeypatch.setattr("nowt.store.locks.fcntl.flock", lock_late)
    held = LogLock(log)
    with pytest.raises(LogInUse):
        LogLock(log)
    del held
    assert LogLock(log)


def test_a_process_lock_names_its_owner_and_what_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.lock"
    with (
        process_lock(path, "x is taken"),
        pytest.raises(ConfigError, match=r"^x is taken by process \d+: wait for it, or stop it$"),
        process_lock(path, "x is taken"),
    ):
        pass


def test_a_study_key_that_leads_elsewhere_locks_no_file(tmp_path: Path) -> None:
    precious = tmp_path / "poetry.lock"
    precious.write_text("precious")
    with pytest.raises(ConfigError, match="is not a key"), study_lock(tmp_path / "runs", "../../poetry"):
        pass
    assert precious.read_text() == "precious"
