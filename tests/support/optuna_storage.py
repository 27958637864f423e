"""What plain Optuna, pointed at a search's storage, finds in it."""

from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from nowt.studies.search.storage_lock import engine_arguments


def trials(url: str) -> dict[str, list[FrozenTrial]]:
    """The trials in the storage at ``url``, by cell."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs=engine_arguments(url))
    try:
        names = optuna.get_all_study_names(storage)
        return {name.rpartition("/")[2]: optuna.load_study(study_name=name, storage=storage).trials for name in names}
    finally:
        storage.engine.dispose()


def told(url: str) -> list[tuple[Any, ...]]:
    """Everything that the storage holds of the trials but the times."""
    return [
        (cell, t.number, t.state, t.value, t.params, t.intermediate_values, _but_seconds(t.user_attrs))
        for cell, found in trials(url).items()
        for t in found
    ]


def _but_seconds(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name != "seconds"}


def epochs_logged(store: Path) -> int:
    """How many epochs the logs of the store hold."""
    return sum(path.read_text().count('"kind": "epoch"') for path in (store / "logs").glob("*.jsonl"))
