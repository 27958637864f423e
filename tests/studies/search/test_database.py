"""Optuna's database in a file: under any name, on network file systems, and not among the tables of others."""

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from nowt.core.errors import ConfigError
from nowt.core.urls import absolute_database_url, sqlite_url
from nowt.studies.search.database import open_database, storage_label
from nowt.studies.search.optuna_internals import engine


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def opened_and_closed(url: str) -> list[str]:
    """Open the storage, add a study that is named after the file, and return the names of all studies."""
    storage = open_database(url)
    optuna.create_study(storage=storage, study_name=storage_label(url), load_if_exists=True)
    names = optuna.get_all_study_names(storage)
    engine(storage).dispose()
    return names


@pytest.mark.parametrize(("kind", "mode"), [("nfs4", "delete"), ("ext4", "wal")])
def test_a_write_ahead_log_is_used_on_local_file_systems_only(
    kind: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 1 0:3 / {tmp_path} rw - {kind} server:/export rw\n")
    monkeypatch.setattr("nowt.core.file_systems.MOUNTS", mounts)
    path = tmp_path / "optuna.db"
    opened_and_closed(sqlite_url(path))
    assert journal_mode(path) == mode
    mounts.write_text("")  # a store that is moved to a local disk, and one that is moved from there
    opened_and_closed(sqlite_url(path))
    assert journal_mode(path) == "wal"
    mounts.write_text(f"30 1 0:3 / {tmp_path} rw - {kind} server:/export rw\n")
    opened_and_closed(sqlite_url(path))
    assert journal_mode(path) == mode


def test_two_stores_whatever_their_names_do_not_share_a_database(tmp_path: Path) -> None:
    names = [
        "runs",
        "runs?1",
        "runs?2",
        "runs#1",
        "runs#2",
        "50%",
        "a%41",
        "aA",
        "a b",
        "größe",
        "{SCHEMA_VERSION}",
        "a&b",
    ]
    paths = [tmp_path / name / "optuna.db" for name in names]
    for path in paths:
        path.parent.mkdir()
        assert opened_and_closed(sqlite_url(path)) == [str(path)]
    assert all(path.exists() for path in paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_database_of_another_program_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (name)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"mlflow\.db is not an Optuna database \(it has the tables experiments"):
        open_database(sqlite_url(path))
    assert path.read_bytes() == before


def test_a_database_that_a_killed_process_left_empty_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    assert opened_and_closed(sqlite_url(path)) == [str(path)]


def test_a_path_of_a_storage_is_that_of_the_folder_in_which_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert absolute_database_url("sqlite:///a/x.db") == f"sqlite:///{tmp_path}/a/x.db"
    assert absolute_database_url("sqlite+pysqlite:///x.db?timeout=3") == f"sqlite+pysqlite:///{tmp_path}/x.db?timeout=3"
    assert absolute_database_url("sqlite:///~/x.db") == f"sqlite:///{tmp_path}/home/x.db"
    for url in ("sqlite://", "sqlite:///:memory:", "postgresql://nowt@/nowt?host=/run", "foo"):
        assert absolute_database_url(url) == url
