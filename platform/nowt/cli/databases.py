"""The Optuna and MLflow databases of a store, for commands that work on the whole store."""

from collections.abc import Iterator
from pathlib import Path

from nowt.store.layout import Store
from nowt.store.sync.merge import Databases


def databases() -> Databases:
    """Return the functions that merge another store's databases into this store's."""
    from nowt.studies.search.merge_trials import count_new_trials, merge_trials
    from nowt.tracking.refresh import update_tracking

    return Databases(count_new_trials, merge_trials, update_tracking)


def database_problems(store: Path) -> Iterator[str]:
    """Yield one sentence per database that is damaged or was written by another version of Optuna or MLflow."""
    from nowt.studies.search import database as optuna_database
    from nowt.tracking import database

    mlflow_db, optuna_db = Store(store).mlflow_db, Store(store).optuna_db
    for path, problems in ((mlflow_db, database.schema_problem), (optuna_db, optuna_database.schema_problem)):
        if path.exists():
            yield from problems(path)
