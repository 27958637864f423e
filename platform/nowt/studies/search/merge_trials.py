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

from nowt.core.errors import ConfigError, require
from nowt.core.formatting import is_one_line
from nowt.core.urls import sqlite_url
from nowt.store.database_files import (
    check_database,
    copy_database,
    copy_foreign_database,
    copy_new_database,
    schema_fault,
)
from nowt.store.layout import Store
from nowt.studies.search.database import database_reason, open_storage
from nowt.studies.search.optuna_internals import copy_trial, engine, extend_trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

FIXED_ATTRIBUTES = ("draw", "key")  # user attributes that never change once a trial has them

# what Optuna raises for values in a database that it has not written
INVALID = (ValueError, LookupError, TypeError, AttributeError, RecursionError, AssertionError)

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
        fault = schema_fault(copy)
        require(not fault, f"{other} cannot be merged ({fault}): restore a copy or move it out of the store")
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
    for study, trials in _content(theirs):
        name = study.study_name
        # a new study is created with its first trial; a study without trials is not copied
        here = optuna.load_study(study_name=name, storage=ours).get_trials() if name in known else []
        for trial in trials:
            if trial.number >= len(here):
                writes.append(partial(_add, ours, study, trial))
            elif _is_ahead(name, here[trial.number], trial):
                writes.append(partial(extend_trial, ours, here[trial.number], trial))
    return writes


def _content(theirs: RDBStorage) -> list[tuple[optuna.Study, list[FrozenTrial]]]:
    """Return the studies with their trials. Raises StorageInternalError for content that Optuna does not write."""
    try:
        names = optuna.get_all_study_names(theirs)
        studies = [optuna.load_study(study_name=name, storage=theirs) for name in names]
        found = [(study, study.get_trials()) for study in studies]
    except INVALID as error:
        raise StorageInternalError(f"it has a value that Optuna does not write: {type(error).__name__}") from None
    for study, trials in found:
        if not is_one_line(study.study_name):
            raise StorageInternalError(f"it has a study named {study.study_name!r}")
        if [trial.number for trial in trials] != list(range(len(trials))):
            raise StorageInternalError(f"the trials of {study.study_name} are not numbered from 0 on")
    return found


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
