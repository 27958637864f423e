"""Reads a search's storage with Optuna itself."""

from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from nowt.studies.search.storage_lock import engine_arguments


def trials_by_cell(url: str) -> dict[str, list[FrozenTrial]]:
    """Return the trials in the storage at ``url``, by cell."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs=engine_arguments(url))
    try:
        names = optuna.get_all_study_names(storage)
        return {name.rpartition("/")[2]: optuna.load_study(study_name=name, storage=storage).trials for name in names}
    finally:
        storage.engine.dispose()


def trial_contents(url: str) -> list[tuple[Any, ...]]:
    """Return all that the storage has about the trials, without times."""
    return [
        (cell, t.number, t.state, t.value, t.params, t.intermediate_values, _without_seconds(t.user_attrs))
        for cell, found in trials_by_cell(url).items()
        for t in found
    ]


def _without_seconds(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name != "seconds"}


def epochs_logged(store: Path) -> int:
    """Return the number of epochs in the logs of ``store``."""
    return sum(path.read_text().count('"kind": "epoch"') for path in (store / "logs").glob("*.jsonl"))
