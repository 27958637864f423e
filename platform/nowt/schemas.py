"""Whether what lies in a store was written by versions that this installation can read."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nowt.log import SCHEMA


def schema_problems(store: Path) -> Iterator[str]:
    """One sentence for each part of the store that is of another schema, or no longer what it was."""
    yield from _logs(store / "logs")
    for name, problem in (("mlflow.db", _mlflow), ("optuna.db", _optuna)):
        if (store / name).exists():
            yield from problem(store / name)


def _logs(folder: Path) -> Iterator[str]:
    newest = max((_schema(path) for path in folder.glob("*.jsonl")), default=SCHEMA)
    if newest > SCHEMA:
        yield f"{folder} has logs of schema {newest}, this nowt reads up to {SCHEMA}: update nowt"


def _schema(log: Path) -> int:
    """The schema that a log's first line names; that of today where it is cut, which reading it tells."""
    with log.open() as file:
        try:
            return int(json.loads(file.readline())["schema"])
        except (ValueError, KeyError, TypeError):
            return SCHEMA


def _mlflow(path: Path) -> Iterator[str]:
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


def _optuna(path: Path) -> Iterator[str]:
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    url = f"sqlite:///{path.resolve()}"
    try:
        storage = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
        there, head = storage.get_current_version(), storage.get_head_version()
    except (OptunaError, SQLAlchemyError, AssertionError) as error:
        yield f"{path} is no Optuna database ({str(error).splitlines()[0]}): put back a copy, or move it away"
        return
    if there != head:
        yield f"{path} is of another Optuna ({there}, not {head}): optuna storage upgrade --storage {url}"
