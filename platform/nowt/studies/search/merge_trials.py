"""Two stores' trials, by Optuna's study and trial number."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from nowt.core.errors import ConfigError
from nowt.store.files import copy_database
from nowt.store.layout import Store

optuna.logging.set_verbosity(optuna.logging.WARNING)

DECIDED = ("draw", "key")  # what a trial got beside its values

Act = Callable[[], object]


def check_trials(other: Path, store: Path) -> int:
    """How many trials of ``other`` are new to ``store`` or got further. Nothing is written.

    Raises ConfigError for a trial that is another one in each.
    """
    if not Store(other).optuna_db.exists():
        return 0
    with TemporaryDirectory(prefix="nowt-") as folder:
        ours = Path(folder) / "optuna.db"
        if Store(store).optuna_db.exists():
            copy_database(Store(store).optuna_db, ours)
        with _opened(Store(other).optuna_db, ours) as (theirs, here):
            return len(_news(theirs, here))


def take_trials(other: Path, store: Path) -> None:
    """Write them. Raises ConfigError as ``check_trials`` does."""
    if not Store(store).optuna_db.exists():
        return copy_database(Store(other).optuna_db, Store(store).optuna_db)
    with _opened(Store(other).optuna_db, Store(store).optuna_db) as (theirs, here):
        for act in _news(theirs, here):
            act()


@contextmanager
def _opened(other: Path, ours: Path) -> Iterator[tuple[RDBStorage, RDBStorage]]:
    """Both storages; of ``other`` a copy, since Optuna could bring it up to its own version."""
    with TemporaryDirectory(prefix="nowt-") as folder:
        copy_database(other, Path(folder) / "optuna.db")
        theirs, here = _storage(Path(folder) / "optuna.db"), _storage(ours)
        try:
            yield theirs, here
        finally:
            theirs.engine.dispose()
            here.engine.dispose()


def _storage(path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs={"connect_args": {"timeout": 20.0}})


def _news(theirs: RDBStorage, ours: RDBStorage) -> list[Act]:
    """What to do, trial by trial, in the order of their numbers."""
    known = set(optuna.get_all_study_names(ours))
    acts: list[Act] = []
    for name in optuna.get_all_study_names(theirs):
        there = optuna.load_study(study_name=name, storage=theirs)
        # a study that is new comes with its first trial; one without trials says nothing
        here = optuna.load_study(study_name=name, storage=ours).get_trials() if name in known else []
        for trial in there.get_trials():
            if trial.number >= len(here):
                acts.append(partial(_add, ours, there, trial))
            elif _goes_on(name, here[trial.number], trial):
                acts.append(partial(_go_on, ours, here[trial.number], trial))
    return acts


def _goes_on(study: str, ours: FrozenTrial, theirs: FrozenTrial) -> bool:
    """Whether their trial is ours, further on. Raises ConfigError where it is another one."""
    here, there = _decided(ours), _decided(theirs)
    same = all(there.get(name, value) == value for name, value in here.items())
    first, second = (ours, theirs) if _reach(ours) <= _reach(theirs) else (theirs, ours)
    ended = first.state.is_finished()
    known, later = first.intermediate_values, second.intermediate_values
    same &= all(later.get(epoch) == value for epoch, value in known.items())
    same &= not ended or (first.state, first.values, known) == (second.state, second.values, later)
    if not same:
        raise ConfigError(
            f"trial {ours.number} of {study} is another one in each store's optuna.db: nothing was merged, the two "
            "searches cannot be one; keep their stores apart"
        )
    return _reach(ours) < _reach(theirs)


def _reach(trial: FrozenTrial) -> tuple[bool, int]:
    return trial.state.is_finished(), len(trial.intermediate_values)


def _decided(trial: FrozenTrial) -> dict[str, object]:
    return {**trial.params, **{name: trial.user_attrs[name] for name in DECIDED if name in trial.user_attrs}}


def _add(ours: RDBStorage, study: optuna.Study, trial: FrozenTrial) -> None:
    here = optuna.create_study(
        storage=ours, study_name=study.study_name, directions=study.directions, load_if_exists=True
    )
    ours.create_new_trial(here._study_id, template_trial=trial)


def _go_on(storage: RDBStorage, ours: FrozenTrial, theirs: FrozenTrial) -> None:
    """Write what their trial knows beyond ours, its state last: with it the trial is closed."""
    number = ours._trial_id
    for name, value in theirs.params.items():
        if name not in ours.params:
            kind = theirs.distributions[name]
            storage.set_trial_param(number, name, kind.to_internal_repr(value), kind)
    for attribute, content in theirs.user_attrs.items():
        storage.set_trial_user_attr(number, attribute, content)
    for attribute, content in theirs.system_attrs.items():
        storage.set_trial_system_attr(number, attribute, content)
    for epoch, value in theirs.intermediate_values.items():
        if epoch not in ours.intermediate_values:
            storage.set_trial_intermediate_value(number, epoch, value)
    if theirs.state.is_finished():
        storage.set_trial_state_values(number, theirs.state, theirs.values)
