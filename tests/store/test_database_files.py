"""Copies of databases: from a folder that this user cannot write, and never over a database that is new."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from nowt.store import database_files
from nowt.store.database_files import copy_database, copy_new_database

NOBODY = 65534


@contextmanager
def database(path: Path, mode: str, value: int) -> Iterator[sqlite3.Connection]:
    """A database that is in use."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE numbers (value)")
        connection.execute("INSERT INTO numbers VALUES (?)", (value,))
        connection.commit()
        yield connection


def values(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM numbers")]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which every user can create files; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="nowt-test-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@contextmanager
def another_user() -> Iterator[None]:
    """Work as a user for whom the permissions of a file count, as they do not for root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("used", [True, False])
def test_a_database_in_a_read_only_store_is_copied(mode: str, used: bool, shared: Path) -> None:
    store = shared / "read-only"
    store.mkdir()
    source = store / "optuna.db"
    with database(source, mode, 7) as connection:
        if not used:
            connection.close()
        for path in store.iterdir():
            path.chmod(0o444)
        store.chmod(0o555)
        try:
            before = sorted(path.name for path in store.iterdir())
            with another_user():
                copy_database(source, shared / "copy.db")
                assert values(shared / "copy.db") == [7]
            assert sorted(path.name for path in store.iterdir()) == before
        finally:
            store.chmod(0o755)


def test_a_database_with_a_log_that_nobody_has_open_is_copied_with_it(shared: Path) -> None:
    store = shared / "read-only"
    store.mkdir()
    with database(shared / "optuna.db", "WAL", 7):
        for name in ("optuna.db", "optuna.db-wal"):  # as after a crash, without the shared memory beside them
            (store / name).write_bytes((shared / name).read_bytes())
    store.chmod(0o555)
    try:
        with another_user():
            copy_database(store / "optuna.db", shared / "copy.db")
            assert values(shared / "copy.db") == [7]
    finally:
        store.chmod(0o755)


def test_a_database_that_changes_all_the_time_is_not_copied_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter(range(1000))
    monkeypatch.setattr(database_files, "_stamp", lambda path: (next(stamps), 0))
    monkeypatch.setattr(database_files.time, "sleep", lambda seconds: None)
    (tmp_path / "optuna.db").touch()
    (tmp_path / "copy").mkdir()
    with pytest.raises(OSError, match=r"optuna\.db cannot be copied: another program writes to it; try again later"):
        database_files._files_of(tmp_path / "optuna.db", tmp_path / "copy")


@pytest.mark.parametrize("links", [True, False])
def test_a_database_that_another_process_has_created_meanwhile_is_kept(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with database(tmp_path / "theirs.db", "DELETE", 1), database(tmp_path / "ours.db", "DELETE", 2):
        assert not copy_new_database(tmp_path / "theirs.db", tmp_path / "ours.db")
        assert copy_new_database(tmp_path / "theirs.db", tmp_path / "new.db")
    assert (values(tmp_path / "ours.db"), values(tmp_path / "new.db")) == ([2], [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.db", "ours.db", "theirs.db"]


def no_links(source: Path, target: Path) -> None:
    """As on a file system without hard links."""
    raise PermissionError
