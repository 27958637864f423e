"""Locks: of a file, of a log that is replaced, and of a process."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from fcntl import flock
from pathlib import Path
from threading import Timer

import pytest

from nowt.core.errors import ConfigError
from nowt.store.files import write_atomically
from nowt.store.locks import LogInUse, LogLock, describe_holder, is_locked, lock_file, process_lock, study_lock, turn
from tests.support.ended_processes import ended_process


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
        pytest.raises(
            ConfigError,
            match=f"^x is taken by process {os.getpid()} on {socket.gethostname()}: wait for it, or stop it$",
        ),
        process_lock(path, "x is taken"),
    ):
        pass


def test_a_study_key_that_leads_elsewhere_locks_no_file(tmp_path: Path) -> None:
    precious = tmp_path / "poetry.lock"
    precious.write_text("precious")
    with pytest.raises(ConfigError, match="is not a key"), study_lock(tmp_path / "runs", "../../poetry"):
        pass
    assert precious.read_text() == "precious"


KILLED_WITH_A_FORKED_LOADER = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from nowt.store.locks import LogLock, study_lock
store = Path(sys.argv[1])
with study_lock(store, "x"):
    log = LogLock(store / "k.jsonl")
    loader = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    loader.start()
    print(loader.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_forked_processes_that_outlive_a_killed_study_hold_none_of_its_locks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_WITH_A_FORKED_LOADER, str(tmp_path)]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    loader = int(killed.stdout.readline())
    try:
        assert killed.wait(30) == -signal.SIGKILL
        os.kill(loader, 0)  # it still runs
        with study_lock(tmp_path, "x"):
            assert not is_locked(tmp_path / "k.jsonl")
            assert LogLock(tmp_path / "k.jsonl")
    finally:
        os.kill(loader, signal.SIGKILL)
        killed.stdout.close()


def test_a_forked_process_keeps_its_other_files(tmp_path: Path) -> None:
    """The number of a lock that was closed may be that of another file by then."""
    with (tmp_path / "lock").open("w") as lock:
        assert lock_file(lock)
        number = lock.fileno()
    with (tmp_path / "data").open("w") as data:
        assert data.fileno() == number
        if (child := os.fork()) == 0:
            os.write(number, b"whole")
            os._exit(0)
        os.waitpid(child, 0)
    assert (tmp_path / "data").read_text() == "whole"


@pytest.fixture
def held_by_nobody_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock whose file names a process that has ended, while somebody has it locked."""
    monkeypatch.setattr("nowt.store.locks.PATIENCE_SECONDS", 0.3)
    path = tmp_path / "x.lock"
    path.write_text(f"{ended_process()} {socket.gethostname()}")
    return path


def test_a_lock_that_names_an_ended_process_is_waited_for(held_by_nobody_alive: Path) -> None:
    holder = held_by_nobody_alive.open()
    assert lock_file(holder)
    slept: list[float] = []

    def release_later(seconds: float) -> None:
        slept.append(seconds)
        holder.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nowt.store.locks.time.sleep", release_later)
        with process_lock(held_by_nobody_alive, "x is taken"):
            assert slept


def test_a_lock_is_never_said_to_be_held_by_an_ended_process(held_by_nobody_alive: Path) -> None:
    ended = held_by_nobody_alive.read_text().split()[0]
    with held_by_nobody_alive.open() as holder:
        assert lock_file(holder)
        with (
            pytest.raises(ConfigError, match=r"^x is taken by ") as caught,
            process_lock(held_by_nobody_alive, "x is taken"),
        ):
            pass
    assert ended not in str(caught.value).split()


def test_a_process_that_waits_its_turn_names_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder = (tmp_path / "x.lock").open("w")
    assert lock_file(holder)
    holder.write(f"{os.getpid()} elsewhere")
    holder.flush()
    Timer(0.2, holder.close).start()
    with turn(tmp_path / "x.lock", "writes x"):
        pass
    assert capsys.readouterr().err == f"nowt: waiting for process {os.getpid()} on elsewhere, which writes x\n"


def test_the_process_that_writes_a_log_is_named(tmp_path: Path) -> None:
    log = tmp_path / "k.jsonl"
    lock = LogLock(log)
    assert describe_holder(log) == f"process {os.getpid()} on {socket.gethostname()}"
    del lock
    assert describe_holder(log) == "another process"


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_locks(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("nowt.store.locks.fcntl.flock", without_locks)
    monkeypatch.setattr("nowt.store.locks.network_file_system", lambda path: "lustre")
    expected = (
        rf"{tmp_path}/studies/x\.lock cannot be locked: its file system \(lustre\) has no locks. Mount it with locks"
    )
    with pytest.raises(OSError, match=expected), study_lock(tmp_path, "x"):
        pass


def test_the_end_of_a_lock_closes_no_other_file_that_has_got_its_descriptor(tmp_path: Path) -> None:
    lock = LogLock(tmp_path / "log")
    os.close(lock.file)  # as code that closes all descriptors does
    with (tmp_path / "other").open("w") as other:
        assert other.fileno() == lock.file
        del lock
        other.write("text")
    assert (tmp_path / "other").read_text() == "text"
