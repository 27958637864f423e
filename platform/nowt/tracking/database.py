"""Opens a store's mlflow.db, and makes it where it is missing; or a server's, by URL."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient

MAGIC = b"SQLite format 3\0"


def database_uri(path: Path) -> str:
    """The SQLite file as MLflow names it."""
    return f"sqlite:///{path.resolve()}"


def connect(path: Path) -> MlflowClient:
    """A client of the database at ``path``, which is made first where it is missing (about 5 s).

    Raises ValueError for a file that is no database, OSError for one that cannot be read or written.
    """
    _hush()
    if path.exists():
        _check(path)
    else:
        _make(path)
    return MlflowClient(tracking_uri=database_uri(path))


def connect_to(url: str) -> MlflowClient:
    """A client of the server at ``url``; nobody is asked yet. MLflow itself finds the credentials."""
    _hush()
    return MlflowClient(tracking_uri=url)


def _make(path: Path) -> None:
    """Make the schema elsewhere and move it here whole, so that a kill leaves no half-made database."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".mlflow-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        MlflowClient(tracking_uri=database_uri(new)).search_experiments(max_results=1)
        if not path.exists():  # another process may have been faster
            new.replace(path)


def _check(path: Path) -> None:
    # MLflow itself would try such a file again and again for two minutes.
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path} is not an MLflow database: delete it and type nowt rebuild")


def _hush() -> None:
    # What goes wrong is raised and told in one line; MLflow would print its traceback besides.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def schema_problem(path: Path) -> Iterator[str]:
    """One sentence where the database at ``path`` is damaged or was written by another version of MLflow."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    again = f"delete {path} and type nowt rebuild, which writes it anew from the logs"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            row = database.execute("select version_num from alembic_version").fetchone()
    except sqlite3.Error as error:
        yield f"{path} is no MLflow database ({error}): {again}"
        return
    if row is None or row[0] != _get_latest_schema_revision():
        yield f"{path} is of another MLflow: {again}"
