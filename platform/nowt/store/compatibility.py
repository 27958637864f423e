"""Whether what lies in a store was written by versions that this installation can read."""

import json
from collections.abc import Iterator
from pathlib import Path

from nowt.store.records import SCHEMA
from nowt.tracking.database import _mlflow


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
