"""Databases that somebody else has written: opening one changes and reads no file elsewhere, and waits for nothing."""

import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from analysis.frames.mlflow import read_mlflow
from nowt.cli.databases import database_problems, databases
from nowt.core.errors import ConfigError
from nowt.core.urls import sqlite_url
from nowt.store.database_files import copy_database
from nowt.store.layout import Store
from nowt.store.sync.merge import merge
from nowt.studies.search.database import open_database
from nowt.studies.search.merge_trials import count_new_trials, merge_trials
from nowt.tracking.database import connect
from tests.support.hostile_files import refusal_of, write_files

MAGIC = bytes.fromhex("d9d505f920a163d7")  # of a rollback journal


def optuna_database(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(sqlite_url(path))
    optuna.create_study(storage=storage, study_name="s").add_trial(optuna.trial.create_trial(value=1.0))
    storage.engine.dispose()
    return path


def table(path: Path) -> Path:
    """A database of any program."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE experiments (experiment_id, name, artifact_location)")
    return path


def plant_journal(database: Path, victim: Path) -> None:
    """Leave a journal as after a power failure, which names ``victim`` as the journal of several databases."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        (size,), (pages,) = (connection.execute(f"PRAGMA page_{name}").fetchone() for name in ("size", "count"))
    name = os.fsencode(victim)
    head = (MAGIC + struct.pack(">IIIII", 0, 0, pages, 512, size)).ljust(512, b"\0")
    end = struct.pack(">I", 2**30 // size + 1) + name + struct.pack(">II", len(name), sum(name)) + MAGIC
    database.with_name(f"{database.name}-journal").write_bytes(head + end)


def test_sqlite_itself_deletes_the_file_that_a_journal_names(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("text")
    plant_journal(table(tmp_path / "a.db"), victim)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("SELECT * FROM experiments")
    assert not victim.exists()  # otherwise the tests below show nothing


def merged_into(store: Path) -> Callable[[], object]:
    (store / "here").mkdir()
    return lambda: merge(store, store / "here", lambda line: None, databases())


def diagnosed(path: Path) -> None:
    for problem in database_problems(path.parent):
        raise ConfigError(problem)


def searched(path: Path) -> object:
    return open_database(sqlite_url(path))


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "merge": ("optuna.db", lambda path: merged_into(path.parent)()),
    "merge into": ("optuna.db", lambda path: merge_trials(path.parent.parent / "other", path.parent)),
    "count before a merge into": (
        "optuna.db",
        lambda path: count_new_trials(path.parent.parent / "other", path.parent),
    ),
    "search": ("optuna.db", searched),
    "doctor": ("optuna.db", diagnosed),
    "backup": ("optuna.db", lambda path: copy_database(path, path.with_name("copy.db"))),
    "MLflow": ("mlflow.db", connect),
    "doctor of MLflow": ("mlflow.db", diagnosed),
    "frames": ("mlflow.db", lambda path: read_mlflow(sqlite_url(path), "x")),
}


@pytest.fixture
def other(tmp_path: Path, valid: dict[str, bytes]) -> Path:
    """A store to be spoiled, beside a sound one."""
    optuna_database(tmp_path / "other" / "optuna.db")
    return write_files(tmp_path / "store", valid)


@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_a_journal_deletes_no_file_elsewhere(
    name: str, read: Callable[[Path], object], other: Path, outside: Path
) -> None:
    path = optuna_database(other / name) if name == "optuna.db" else table(other / name)
    plant_journal(path, outside / "secret.json")
    assert f"{name}-journal names another file, which SQLite would delete" in refusal_of(lambda: read(path))


@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_a_database_that_is_a_pipe_is_refused_at_once(
    suffix: str, name: str, read: Callable[[Path], object], other: Path
) -> None:
    if suffix:
        optuna_database(other / name)
    os.mkfifo(other / f"{name}{suffix}")
    assert f"{name}{suffix} is not a file: move it out of" in refusal_of(lambda: read(other / name))


@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_a_database_that_is_a_link_is_refused(
    suffix: str, name: str, read: Callable[[Path], object], other: Path, outside: Path
) -> None:
    if suffix:
        optuna_database(other / name)
    (other / f"{name}{suffix}").symlink_to(outside / "secret.json")
    assert f"{name}{suffix} is a link: replace it with a copy" in refusal_of(lambda: read(other / name))


def test_a_database_is_merged_with_what_a_killed_process_left_beside_it(other: Path, tmp_path: Path) -> None:
    path = optuna_database(other / "optuna.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE studies SET study_name = 'later'")
        connection.commit()
        files = {each.name: each.read_bytes() for each in other.glob("optuna.db*")}
    assert set(files) == {"optuna.db", "optuna.db-wal", "optuna.db-shm"}
    for name, data in files.items():
        (other / name).write_bytes(data)
    merged_into(other)()
    with closing(sqlite3.connect(Store(other / "here").optuna_db)) as connection:
        assert connection.execute("SELECT study_name FROM studies").fetchall() == [("later",)]
    assert {each.name: each.read_bytes() for each in other.glob("optuna.db*")} == files


def test_a_database_is_merged_as_it_was_before_a_transaction_that_a_power_failure_cut_short(other: Path) -> None:
    path = optuna_database(other / "optuna.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA cache_spill = 1")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("UPDATE studies SET study_name = 'half'")
        connection.execute("CREATE TABLE filler AS SELECT zeroblob(500000)")  # more than the cache, so it is written
        files = {each.name: each.read_bytes() for each in other.glob("optuna.db*")}
    assert set(files) == {"optuna.db", "optuna.db-journal"}
    for name, data in files.items():
        (other / name).write_bytes(data)
    merged_into(other)()
    with closing(sqlite3.connect(Store(other / "here").optuna_db)) as connection:
        assert connection.execute("SELECT study_name FROM studies").fetchall() == [("s",)]


SPOILED = {
    "no JSON": "UPDATE trial_user_attributes SET value_json = '{{{'",
    "deep JSON": f"UPDATE trial_user_attributes SET value_json = '{'[' * 100_000}'",
    "unknown distribution": 'UPDATE trial_params SET distribution_json = \'{"name": "Evil", "attributes": {}}\'',
    "unknown state": "UPDATE trials SET state = 'WHAT'",
    "no number": "UPDATE trials SET number = NULL",
    "numbers from 5 on": "UPDATE trials SET number = number + 5",
    "control characters": "UPDATE studies SET study_name = 'x' || char(27) || '[2J'",
    "view": "ALTER TABLE trials RENAME TO t; CREATE VIEW trials AS WITH RECURSIVE c(x) AS "
    "(SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT t.* FROM t, c WHERE c.x < 0",
    "trigger": "CREATE TRIGGER a AFTER INSERT ON trials BEGIN UPDATE trials SET state = 'FAIL'; END",
    "virtual table": "CREATE VIRTUAL TABLE a USING fts5(x)",
}


@pytest.mark.parametrize("statement", SPOILED.values(), ids=SPOILED)
def test_content_that_optuna_does_not_write_is_refused_in_one_line(statement: str, other: Path) -> None:
    path = other / "optuna.db"
    storage = optuna.storages.RDBStorage(sqlite_url(path))
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    trial.suggest_float("lr", 0.1, 1.0)
    trial.set_user_attr("a", 1)
    study.tell(trial, 1.0)
    storage.engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(statement)
    line = refusal_of(merged_into(other))
    assert "optuna.db cannot be merged (" in line and ": restore a copy or move it out of the store" in line
