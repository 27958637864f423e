"""The private parts of Optuna that nowt uses still exist in the installed version, and do what nowt expects."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import text

from nowt.core.urls import sqlite_url
from nowt.studies.search import optuna_internals


@contextmanager
def expecting(part: str) -> Iterator[None]:
    """Add the Optuna version and the file to adapt to an error of the block."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"Optuna {optuna.__version__} has moved or changed {part}: "
            "adapt platform/nowt/studies/search/optuna_internals.py"
        )
        raise


def names_version(part: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def guarded(*args: Any, **named: Any) -> None:
            with expecting(part):
                test(*args, **named)

        return guarded

    return decorate


@pytest.fixture
def storage() -> InMemoryStorage:
    return InMemoryStorage()


@pytest.fixture
def study(storage: InMemoryStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="space/bp")


def test_a_moved_part_is_reported_with_the_version_of_optuna() -> None:
    with pytest.raises(AttributeError, match="no attribute _study_id") as caught, expecting("_study_id"):
        raise AttributeError("no attribute _study_id")
    (note,) = caught.value.__notes__
    assert f"Optuna {optuna.__version__} has moved or changed _study_id" in note and "optuna_internals.py" in note


@names_version("Study._study_id")
def test_the_id_of_a_study_is_the_one_that_its_storage_uses(storage: InMemoryStorage, study: optuna.Study) -> None:
    assert storage.get_study_name_from_id(optuna_internals.study_id(study)) == "space/bp"


@names_version("FrozenTrial._trial_id")
def test_the_id_of_a_trial_is_the_one_that_its_storage_uses(storage: InMemoryStorage, study: optuna.Study) -> None:
    study.ask()
    study.ask()
    last = study.get_trials()[-1]
    assert storage.get_trial(optuna_internals.trial_id(last)).number == 1


@names_version("the constructor of Trial")
def test_an_unfinished_trial_keeps_its_values_when_it_is_reopened(study: optuna.Study) -> None:
    value = study.ask().suggest_float("optim.lr", 0.01, 1.0)
    reopened = optuna_internals.reopen_trial(study, study.get_trials()[0])
    assert reopened.suggest_float("optim.lr", 0.01, 1.0) == value
    reopened.report(0.5, 1)
    study.tell(reopened.number, 0.5)
    assert study.get_trials()[0].state == TrialState.COMPLETE


@names_version("Study._get_trials")
def test_a_sampler_sees_changed_trials_and_the_study_keeps_its_own(study: optuna.Study) -> None:
    def without_errors(trial: FrozenTrial) -> FrozenTrial:
        changed = copy.copy(trial)
        changed.intermediate_values = {}
        return changed

    asked = study.ask()
    asked.report(0.5, 1)
    study.tell(asked, state=TrialState.PRUNED)
    changed = optuna_internals.with_trials(study, without_errors)
    seen = changed._get_trials(deepcopy=False, states=(TrialState.PRUNED,), use_cache=True)
    assert [trial.intermediate_values for trial in seen] == [{}]
    assert study.get_trials()[0].intermediate_values == {1: 0.5}


@names_version("BaseStorage.create_new_trial")
@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_trial_is_copied_in_any_state(study: optuna.Study, state: TrialState) -> None:
    asked = study.ask()
    asked.suggest_float("optim.lr", 0.01, 1.0)
    if state != TrialState.RUNNING:
        study.tell(asked, 0.5 if state == TrialState.COMPLETE else None, state=state)
    other = InMemoryStorage()
    copied = optuna.create_study(storage=other, study_name="space/bp")
    optuna_internals.copy_trial(other, copied, study.get_trials()[0])
    assert [(t.state, t.params) for t in copied.get_trials()] == [(t.state, t.params) for t in study.get_trials()]


@names_version("the writing methods of BaseStorage, or BaseDistribution.to_internal_repr")
def test_a_trial_is_extended_by_what_another_storage_knows_beyond_it(study: optuna.Study) -> None:
    asked = study.ask()
    other = InMemoryStorage()
    copied = optuna.create_study(storage=other, study_name="space/bp")
    optuna_internals.copy_trial(other, copied, study.get_trials()[0])
    asked.suggest_categorical("optim.schedule", ("cosine", "step"))
    asked.set_user_attr("draw", 0)
    asked.report(0.5, 1)
    study.tell(asked, 0.4)
    optuna_internals.extend_trial(other, copied.get_trials()[0], study.get_trials()[0])
    mine, theirs = copied.get_trials()[0], study.get_trials()[0]
    assert (mine.state, mine.params, mine.user_attrs) == (theirs.state, theirs.params, theirs.user_attrs)
    assert (mine.values, mine.intermediate_values) == (theirs.values, theirs.intermediate_values)


@names_version("optuna.storages._rdb.models.TrialUserAttributeModel")
def test_an_attribute_of_an_ended_trial_is_replaced(tmp_path: Path) -> None:
    storage = RDBStorage(optuna_internals.sqlite_url(tmp_path / "optuna.db"))
    study = optuna.create_study(storage=storage, study_name="space/bp")
    for key in ("first", "second"):
        asked = study.ask()
        asked.set_user_attr("key", key)
        study.tell(asked, 0.5)
    optuna_internals.replace_attribute(storage, study.get_trials()[0], "key", "new")
    again = optuna.load_study(storage=storage, study_name="space/bp")
    assert [(t.user_attrs["key"], t.value) for t in again.get_trials()] == [("new", 0.5), ("second", 0.5)]
    optuna_internals.engine(storage).dispose()


@names_version("RDBStorage.engine")
def test_the_engine_of_a_storage_runs_sql(tmp_path: Path) -> None:
    storage = RDBStorage(sqlite_url(tmp_path / "optuna.db"))
    with optuna_internals.engine(storage).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM studies")) == 0
    optuna_internals.engine(storage).dispose()


@names_version("RDBStorage.get_current_version or get_head_version")
def test_a_new_database_has_the_schema_of_the_installed_optuna(tmp_path: Path) -> None:
    RDBStorage(sqlite_url(tmp_path / "optuna.db")).engine.dispose()
    found, installed = optuna_internals.schema_versions(tmp_path / "optuna.db")
    assert found == installed
