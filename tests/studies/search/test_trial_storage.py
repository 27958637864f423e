"""Trials as Optuna's storage holds them, checked before a search resumes."""

from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from nowt.core.errors import ConfigError
from nowt.studies.search.space import Budget
from nowt.studies.search.trial_storage import Trial, TrialStorage
from tests.support.simulated_search import IMAGE_FACTS, random_space


@pytest.mark.parametrize("key", ["", "../../x"])
def test_a_trial_without_the_key_of_its_run_is_named(key: str, tmp_path: Path) -> None:
    space = random_space("random", "none", Budget(1), 1, shared_runs=False)
    storage = TrialStorage.open(space, InMemoryStorage(), "optuna.db")
    storage.trials.append(Trial(space.cells[0], 3, 3, TrialState.COMPLETE, {}, key=key))
    with pytest.raises(ConfigError) as caught:
        storage.check({cell.name: IMAGE_FACTS for cell in space.cells}, tmp_path)
    assert str(caught.value) == (
        f"trial 3 of one has {key!r} as the key of its run in optuna.db, which is not one: restore a copy of the "
        "database, or give another --storage"
    )
