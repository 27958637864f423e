"""Merges the Optuna databases of two stores, by study name and trial number."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from nowt.core.errors import ConfigError
from nowt.core.urls import sqlite_url
from nowt.store.database_files import check_database, copy_database, copy_foreign_database, copy_new_database
from nowt.store.layout import Store
from nowt.studies.search.database import database_reason, open_storage
from nowt.studies.search.optuna_internals import copy_trial, engine, extend_trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

FIXED_ATTRIBUTES = ("draw", "key")  # user attributes that never change once a trial has them

Write = Callable[[], object]


def count_new_trials(other: Path, store: Path) -> int:
    """Return how many trials of ``other`` are missing in ``store`` or have more epochs there. Nothing is written.

    Raises ConfigError if a trial differs between the two stores.
    """
    if not Store(other).optuna_db.exists():
        return 0
    with TemporaryDirectory(prefix="nowt-") as folder:
        ours = Path(folder) / "optuna.db"
        if Store(store).optuna_db.exists():
            copy_database(Store(store).optuna_db, ours)
        with (
            _open_both(Store(other).optuna_db, ours, Store(store).optuna_db) as (theirs, here),
            _database_errors(Store(other).optuna_db),
        ):
            return len(_writes(theirs, here))


def merge_trials(other: Path, store: Path) -> None:
    """Copy these trials from ``other`` to ``store``. Raises ConfigError as ``count_new_trials`` does."""
    source, target = Store(other).optuna_db, Store(store).optuna_db
    if not target.exists() and copy_new_database(source, target):
        return
    with _open_both(source, target) as (theirs, here), _database_errors(target):
        for write in _writes(theirs, here):
            write()


@contextmanager
def _open_both(other: Path, ours: Path, original: Path | None = None) -> Iterator[tuple[RDBStorage, RDBStorage]]:
    """Open both storages. ``other`` is opened as a copy, because it may be somebody else's.

    ``original`` is the database of which ``ours`` is a copy.
    """
    with TemporaryDirectory(prefix="nowt-") as folder:
        copy = Path(folder) / "optuna.db"
        copy_foreign_database(other, copy)
        with _opened(copy, other) as theirs, _opened(ours, original or ours) as here:
            yield theirs, here


@contextmanager
def _opened(path: Path, named: Path) -> Iterator[RDBStorage]:
    """Open the storage at ``path``, which messages call ``named``."""
    check_database(path)
    options = {"connect_args": {"timeout": 20.0}}
    with _database_errors(named):
        storage = open_storage(sqlite_url(path.resolve()), options, sqlite_url(named.resolve()))
    try:
        yield storage
    finally:
        engine(storage).dispose()


@contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a database that lacks tables or is damaged into a ValueError of one line."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = database_reason(error)
        raise ConfigError(f"{path} cannot be merged ({reason}): restore a copy or move it out of the store") from error


def _writes(theirs: RDBStorage, ours: RDBStorage) -> list[Write]:
    """Return the writes that bring ``ours`` up to date, in the order of trial numbers."""
    known = set(optuna.get_all_study_names(ours))
    writes: list[Write] = []
    for name in optuna.get_all_study_names(theirs):
        study = optuna.load_study(study_name=name, storage=theirs)
        # a new study is created with its first trial; a study without trials is not copied
        here = optuna.load_study(study_name=name, storage=ours).get_trials() if name in known else []
        for trial in study.get_trials():
            if trial.number >= len(here):
                writes.append(partial(_add, ours, study, trial))
            elif _is_ahead(name, here[trial.number], trial):
                writes.append(partial(extend_trial, ours, here[trial.number], trial))
    return writes


def _is_ahead(study: str, ours: FrozenTrial, theirs: FrozenTrial) -> bool:
    """Return whether ``theirs`` is the same trial as ``ours`` with more epochs. Raises ConfigError if the trials
    differ."""
    here, there = _fixed_values(ours), _fixed_values(theirs)
    same = all(there.get(name, value) == value for name, value in here.items())
    first, second = (ours, theirs) if _progress(ours) <= _progress(theirs) else (theirs, ours)
    known, later = first.intermediate_values, second.intermediate_values
    same &= all(later.get(epoch) == value for epoch, value in known.items())
    same &= not first.state.is_finished() or (first.state, first.values, known) == (second.state, second.values, later)
    if not same:
        raise ConfigError(
            f"trial {ours.number} of {study} differs between the two stores' optuna.db. Nothing was merged. "
            "These are two different searches; keep their stores separate"
        )
    return _progress(ours) < _progress(theirs)


def _progress(trial: FrozenTrial) -> tuple[bool, int]:
    return trial.state.is_finished(), len(trial.intermediate_values)


def _fixed_values(trial: FrozenTrial) -> dict[str, object]:
    attributes = {name: trial.user_attrs[name] for name in FIXED_ATTRIBUTES if name in trial.user_attrs}
    return {**trial.params, **attributes}


def _add(ours: RDBStorage, study: optuna.Study, trial: FrozenTrial) -> None:
    here = optuna.create_study(
        storage=ours, study_name=study.study_name, directions=study.directions, load_if_exists=True
    )
    copy_trial(ours, here, trial)
