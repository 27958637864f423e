"""Opens Optuna's database, and converts its errors to one-line messages."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event, make_url
from sqlalchemy.exc import SQLAlchemyError

from nowt.core.errors import AccessError, ConfigError, require
from nowt.core.file_systems import network_file_system
from nowt.core.urls import database_url, sqlite_file, sqlite_url
from nowt.store.database_files import check_database, open_sqlite
from nowt.studies.search.optuna_internals import engine, schema_versions
from nowt.studies.search.storage_lock import engine_arguments

TABLES = {"studies", "trials", "version_info"}  # some of Optuna's


def open_database(url: str) -> RDBStorage:
    """Open Optuna's storage at ``url``, and create it if it does not exist.

    Raises ConfigError if the database's Python driver is not installed or another version of Optuna wrote the database,
    OSError for an sqlite file that is not usable.
    """
    try:
        storage = open_storage(url, _engine_options(url), url)
    except ImportError as error:  # Optuna's own message has several lines
        missing = getattr(error.__cause__, "name", None) or str(error).partition("\n")[0]
        raise ConfigError(
            f"--storage {storage_label(url)} needs the Python package {missing}, which is not installed"
        ) from None
    path = sqlite_file(url)
    if path is not None and not network_file_system(path):
        event.listen(engine(storage), "connect", _sync_at_checkpoints)
        engine(storage).dispose()  # connections opened before do not have the setting
    return storage


def open_storage(url: str, options: dict[str, Any], named: str) -> RDBStorage:
    """Open Optuna's storage at ``url`` with ``options`` for its engine.

    Raises ConfigError if another version of Optuna wrote it, and for files that SQLite must not open. ``named`` is the
    URL in the message: ``url``, or that of the storage of which it is a copy.
    """
    if path := sqlite_file(url):
        check_database(path)
    storage = RDBStorage(url, engine_kwargs=options, skip_compatibility_check=True)
    found, installed = storage.get_current_version(), storage.get_head_version()
    if found != installed:
        engine(storage).dispose()
        raise ConfigError(_version_problem(named, found, installed))
    return storage


def _version_problem(url: str, found: str, installed: str) -> str:
    upgrade = f"run optuna storage upgrade --storage {make_url(url).render_as_string()}, or install that version"
    return f"{storage_label(url)} was written by another version of Optuna ({found}, not {installed}): {upgrade}"


def storage_label(url: str) -> str:
    """Return the name of the storage at ``url`` for messages: its file, or its address without the password."""
    parts = database_url(url, "--storage", "sqlite:///DIR/optuna.db or postgresql://HOST/NAME")
    return parts.database or url if parts.drivername == "sqlite" else parts.render_as_string()


@contextmanager
def storage_errors(label: str) -> Iterator[None]:
    """Turn the errors of a database that is full, locked, read-only or unreachable into an OSError of one line."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise AccessError(
            f"{label} cannot be used ({database_reason(error)}). Nothing is lost; run the same command again to resume"
        ) from error


def database_reason(error: Exception) -> str:
    """Return the first line of what the database's driver says about an error of Optuna or SQLAlchemy."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return str(getattr(cause, "orig", None) or cause).partition("\n")[0]


def schema_problem(path: Path) -> Iterator[str]:
    """Yield one sentence if the database at ``path`` is damaged or was written by another version of Optuna."""
    try:
        check_database(path)
        found, installed = schema_versions(path)
    except ConfigError as error:
        yield str(error)
        return
    except (OptunaError, SQLAlchemyError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        yield f"{path} is not an Optuna database ({reason}): restore a copy or move it out of the store"
        return
    if found != installed:
        yield _version_problem(sqlite_url(path.resolve()), found, installed)


def _sync_at_checkpoints(connection: Any, _: object) -> None:
    """Sync at checkpoints of the write-ahead log, not at each commit: a killed process loses nothing. A power cut may
    lose the last trials; they are proposed again with the same values, and the epoch logs have the rest."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _engine_options(url: str) -> dict[str, Any]:
    """Return the options for SQLAlchemy's engine.

    Sqlite uses a write-ahead log, so that readers of the database do not block the search; on a network file system a
    rollback journal, since the log needs memory that all processes share. Connections to a server are tested before
    use, because the server may have been restarted since the last trial.
    """
    path = sqlite_file(url)
    if path is None:
        return {"pool_pre_ping": True, **engine_arguments(url)}
    try:
        with open_sqlite(path, "rwc") as connection:
            _check_tables(connection, path)
            connection.execute(f"PRAGMA journal_mode={'DELETE' if network_file_system(path) else 'WAL'}")
    except sqlite3.Error as error:
        raise AccessError(
            f"{path} cannot be used as a database ({error}): unlock it or move it out of the folder"
        ) from None
    return {"connect_args": {"timeout": 20.0}}


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ConfigError if the database has only tables of others, to which Optuna would add its own."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = ", ".join(sorted(tables)[:3])
    require(not tables or bool(tables & TABLES), f"{path} is not an Optuna database (it has the tables {found}, ...)")
