"""Opens a store's mlflow.db, and makes it where it is missing; or a server's, by URL."""

import logging
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
