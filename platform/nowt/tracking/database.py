"""Opens MLflow: a store's mlflow.db, which is created if it is missing, or a server by URL."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient

from nowt.core.errors import ConfigError, UserError
from nowt.core.urls import sqlite_file, sqlite_url
from nowt.store.database_files import check_database, open_sqlite
from nowt.store.files import move_new, open_plain_file
from nowt.store.temporary_files import temporary_folder
from nowt.tracking.moved_store import correct_artifact_places

MAGIC = b"SQLite format 3\0"


def database_uri(path: Path) -> str:
    """Return the URI of the SQLite file at ``path``."""
    return sqlite_url(path.resolve())


def connect(path: Path) -> MlflowClient:
    """Return a client of the database at ``path``, which is created if it is missing (about 5 s).

    If the store was moved or copied, the database names the artifacts of this store from now on.
    Raises ValueError for a file that is not a database, OSError for one that cannot be read or written.
    """
    _silence_logging()
    _create_folders_of_files()
    if path.exists():
        _check(path)
        correct_artifact_places(path)
    else:
        _create(path)
    return MlflowClient(tracking_uri=database_uri(path))


def connect_to(url: str) -> MlflowClient:
    """Return a client of the server at ``url``. Sends no request yet. MLflow finds the credentials itself."""
    _silence_logging()
    return MlflowClient(tracking_uri=url)


def _create(path: Path) -> None:
    """Create the database under another name and move it, so that a kill leaves no incomplete database.

    One that another process has created meanwhile is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path.parent / ".mlflow") as folder:
        new = folder / path.name
        MlflowClient(tracking_uri=database_uri(new)).search_experiments(max_results=1)
        move_new(new, path)


def _check(path: Path) -> None:
    check_database(path)
    # MLflow itself would retry such a file for two minutes.
    with open_plain_file(path) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise UserError(f"{path} is not an MLflow database: delete it and run nowt rebuild")


def _create_folders_of_files() -> None:
    """Have MLflow create the folder of a database, and not one that is named like its URL, such as ``my%3Fruns``."""
    from mlflow.store.db import utils

    def create_folder(uri: str) -> None:
        if path := sqlite_file(uri):
            path.parent.mkdir(parents=True, exist_ok=True)

    utils._make_parent_dirs_if_sqlite = create_folder


def _silence_logging() -> None:
    # nowt reports each error in one line; MLflow would print a traceback as well.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def schema_problem(path: Path) -> Iterator[str]:
    """Yield one sentence if the database at ``path`` is damaged or was written by another version of MLflow."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    again = "delete it and run nowt rebuild, which writes it again from the logs"
    try:
        with open_sqlite(path, "ro") as database:
            row = database.execute("select version_num from alembic_version").fetchone()
    except ConfigError as error:
        yield str(error)
        return
    except sqlite3.Error as error:
        yield f"{path} is not an MLflow database ({error}): {again}"
        return
    if row is None or row[0] != _get_latest_schema_revision():
        yield f"{path} was written by another version of MLflow: {again}"
