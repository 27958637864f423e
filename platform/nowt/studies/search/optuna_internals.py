"""Every private or undocumented part of Optuna that nowt uses, one function for each.

``tests/studies/search/test_optuna_internals.py`` has a test for each function. It names the installed Optuna version
if an upgrade has moved the part.
"""

import json
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb.models import TrialUserAttributeModel
from optuna.trial import FrozenTrial
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from nowt.core.urls import sqlite_url


def study_id(study: optuna.Study) -> int:
    """Return the storage's id of ``study``."""
    number: int = study._study_id
    return number


def trial_id(trial: FrozenTrial) -> int:
    """Return the storage's id of ``trial``; it differs from the trial's number."""
    number: int = trial._trial_id
    return number


def reopen_trial(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Return a handle to an unfinished ``trial``, so that its parameters can be suggested and its values reported."""
    return optuna.Trial(study, trial_id(trial))


def with_trials(study: optuna.Study, change: Callable[[FrozenTrial], FrozenTrial]) -> optuna.Study:
    """Return a copy of ``study`` whose samplers see each of its trials as ``change`` returns it; nothing is written."""
    found = copy(study)

    def changed_trials(*args: Any, **kwargs: Any) -> list[FrozenTrial]:
        return [change(trial) for trial in study._get_trials(*args, **kwargs)]

    found._get_trials = changed_trials
    return found


def copy_trial(storage: BaseStorage, study: optuna.Study, trial: FrozenTrial) -> None:
    """Add ``trial`` to ``study``, in any state; ``Study.add_trial`` accepts only some of them."""
    storage.create_new_trial(study_id(study), template_trial=trial)


def extend_trial(storage: BaseStorage, ours: FrozenTrial, theirs: FrozenTrial) -> None:
    """Write to ``ours`` what only ``theirs`` contains. The state comes last, because no other writes are possible after
    it."""
    number = trial_id(ours)
    for name, value in theirs.params.items():
        if name not in ours.params:
            distribution = theirs.distributions[name]
            storage.set_trial_param(number, name, distribution.to_internal_repr(value), distribution)
    for attribute, content in theirs.user_attrs.items():
        storage.set_trial_user_attr(number, attribute, content)
    for attribute, content in theirs.system_attrs.items():
        storage.set_trial_system_attr(number, attribute, content)
    for epoch, value in theirs.intermediate_values.items():
        if epoch not in ours.intermediate_values:
            storage.set_trial_intermediate_value(number, epoch, value)
    if theirs.state.is_finished():
        storage.set_trial_state_values(number, theirs.state, theirs.values)


def replace_attribute(storage: RDBStorage, trial: FrozenTrial, name: str, value: object) -> None:
    """Replace a user attribute of ``trial``, which may have ended; Optuna itself refuses to change ended trials."""
    with Session(engine(storage)) as session:
        found = session.query(TrialUserAttributeModel).filter_by(trial_id=trial_id(trial), key=name).one()
        found.value_json = json.dumps(value, allow_nan=False)
        session.commit()


def engine(storage: RDBStorage) -> Engine:
    """Return the SQLAlchemy engine of ``storage``; ``dispose`` it to close the connections."""
    found: Engine = storage.engine
    return found


def schema_versions(path: Path) -> tuple[str, str]:
    """Return the schema version of the sqlite database at ``path``, and the one that the installed Optuna writes.

    Nothing is written. Raises OptunaError, SQLAlchemyError or AssertionError if it is not an Optuna database.
    """
    storage = RDBStorage(sqlite_url(path.resolve()), skip_compatibility_check=True, skip_table_creation=True)
    return storage.get_current_version(), storage.get_head_version()
