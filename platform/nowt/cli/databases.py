"""A store's databases, Optuna's and MLflow's, for commands on a whole store."""

from collections.abc import Iterator
from pathlib import Path

from nowt.store.layout import Store
from nowt.store.sync.merge import Databases


def databases() -> Databases:
    """What merging another store does to this store's databases."""
    from nowt.studies.search.merge_trials import count_new_trials, merge_trials
    from nowt.tracking.refresh import update_tracking

    return Databases(count_new_trials, merge_trials, update_tracking)


def database_problems(store: Path) -> Iterator[str]:
    """One sentence for each database that is damaged or of another version of Optuna or MLflow."""
    from nowt.studies.search import database as optuna_database
    from nowt.tracking import database

    mlflow_db, optuna_db = Store(store).mlflow_db, Store(store).optuna_db
    for path, problems in ((mlflow_db, database.schema_problem), (optuna_db, optuna_database.schema_problem)):
        if path.exists():
            yield from problems(path)
