"""Stores the trials of a search in Optuna's storage: their parameter values, errors and final states.

Epoch logs hold measurements; the storage holds the search's decisions. Each cell is an Optuna study named SPACE/CELL,
which Optuna itself and optuna-dashboard can read.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nowt.core.errors import ConfigError
from nowt.store.layout import Store, is_plain
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.database import open_database, storage_errors, storage_label
from nowt.studies.search.optuna_internals import engine, reopen_trial
from nowt.studies.search.params import Choice, Param, Value
from nowt.studies.search.samplers import make_sampler
from nowt.studies.search.space import SearchSpace
from nowt.studies.search.storage_lock import exclusive_lock

optuna.logging.set_verbosity(optuna.logging.WARNING)

COSTS = ("presentations", "flops", "seconds")

UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)

FINGERPRINT_ATTRS = ("images", "pictures")  # of a study: today's, and that of earlier versions


@dataclass
class Trial:
    """One trial as the storage holds it."""

    cell: SearchCell
    number: int
    draw: int  # number of its proposal; when a trial fails, a later trial gets its draw
    state: TrialState
    values: dict[str, Value]
    handle: optuna.Trial | None = None  # None once the trial has ended
    errors: dict[int, float] = field(default_factory=dict)  # validation error by epoch
    key: str = ""  # of its run
    reason: str = ""  # why it ended, if it did not complete
    cost: dict[str, float] = field(default_factory=dict)  # presentations, FLOPs and seconds of training
    counted: bool = False  # whether its cell's budget includes it

    @property
    def last_epoch(self) -> int:
        """The last epoch whose error is stored; 0 if there is none."""
        return max(self.errors, default=0)


@dataclass
class TrialStorage:
    """The trials of a search space, with one Optuna study per cell. It is the only writer while it is open."""

    space: SearchSpace
    studies: dict[str, optuna.Study]
    trials: list[Trial] = field(default_factory=list)
    draws: dict[str, set[int]] = field(default_factory=dict)  # by cell, of trials that did not fail
    label: str = "Optuna's storage"  # what messages call it
    ensure_locked: Callable[[], None] = lambda: None  # raises OSError once another process has the lock

    @classmethod
    @contextmanager
    def connect(cls, space: SearchSpace, url: str) -> Iterator["TrialStorage"]:
        """Open the trials of ``space`` in the database at ``url``, locked against other processes.

        Raises ConfigError if ``url`` is not a database URL or another process runs the search, OSError if the database
        is not usable.
        """
        label = storage_label(url)
        with ExitStack() as stack:
            with storage_errors(label):
                database = open_database(url)
                stack.callback(engine(database).dispose)
                ensure_locked = stack.enter_context(exclusive_lock(url, space.key))
            found = cls.open(space, database, label)
            found.ensure_locked = ensure_locked
            yield found

    @classmethod
    def open(cls, space: SearchSpace, storage: optuna.storages.BaseStorage, label: str = label) -> "TrialStorage":
        """Read the trials of ``space`` from ``storage``, and complete the parameter values of those that a crash
        interrupted."""
        found = cls(space, {}, draws={cell.name: set() for cell in space.cells}, label=label)
        with storage_errors(label):
            for cell in space.cells:
                name = f"{space.key}/{cell.name}"
                study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
                found.studies[cell.name] = study
                for frozen in study.get_trials(deepcopy=False):
                    found._add(found._restored(cell, frozen))
        return found

    def check(self, image_facts: Mapping[str, Mapping[str, Any]], store: Path) -> None:
        """Raise ConfigError if earlier trials were scored on images other than ``image_facts`` (by cell), or if their
        runs are in another store. Call it before anything is written."""
        for cell in self.space.cells:
            now = image_facts[cell.name]["fingerprint"]
            if (then := self._fingerprint(cell, now)) != now:
                raise ConfigError(
                    f"search {self.space.name} was started on other images (fingerprint {then[:12]}, not {now[:12]}). "
                    "Give the --data-dir that it was started with, or another --store" + self._upgrade_hint(cell)
                )
        for trial in self.trials:
            ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            if ended and not is_plain(trial.key):
                raise ConfigError(
                    f"trial {trial.number} of {trial.cell.name} has {trial.key!r} as the key of its run in "
                    f"{self.label}, which is not one: restore a copy of the database, or give another --storage"
                )
            if ended and not Store(store).log(trial.key).exists():
                raise ConfigError(
                    f"the run of trial {trial.number} of {trial.cell.name}, {trial.key}, is not in store {store}. "
                    "Give the --store that has it, or another --storage"
                )

    def _fingerprint(self, cell: SearchCell, fingerprint: str) -> str:
        """Return the fingerprint of the images that score the cell's trials; the first start stores it."""
        study = self.studies[cell.name]
        with storage_errors(self.label):
            stored = next((study.user_attrs[name] for name in FINGERPRINT_ATTRS if name in study.user_attrs), None)
            if stored is None:
                study.set_user_attr(FINGERPRINT_ATTRS[0], fingerprint)
            return str(stored or fingerprint)

    def _upgrade_hint(self, cell: SearchCell) -> str:
        """Return a sentence if the stored fingerprint may be that of an earlier version."""
        with storage_errors(self.label):
            if FINGERPRINT_ATTRS[0] in self.studies[cell.name].user_attrs:
                return ""
        return (
            ". An earlier version of nowt started it, which did not fingerprint the content of image folders: if these "
            "are its images, run nowt upgrade STORE --data-dir DIR"
        )

    def ask(self, cell: SearchCell) -> Trial:
        """Create a trial of ``cell`` from the lowest draw that has no trial.

        If the trial fails, its draw is retried at the next start of the search, not in the same one. Otherwise a
        setting that always fails would use up the budget of the draws after it.
        """
        draw = self._free_draw(cell)
        study = self.studies[cell.name]
        study.sampler = make_sampler(self.space, cell, draw)
        with self._writing():
            asked = study.ask()
            asked.set_user_attr("draw", draw)
            trial = Trial(cell, asked.number, draw, TrialState.RUNNING, _suggest(cell, asked), asked)
        self._add(trial)
        return trial

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with storage_errors(self.label):
            self.ensure_locked()
            yield

    @property
    def ended(self) -> int:
        """The number of trials that are complete or pruned."""
        return sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in self.trials)

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        if trial.state != TrialState.FAIL:
            self.draws[trial.cell.name].add(trial.draw)

    def _free_draw(self, cell: SearchCell) -> int:
        """Return the lowest draw that has no trial in the cell."""
        draws = self.draws[cell.name]
        if not draws or max(draws) < len(draws):
            return len(draws)  # the usual case: no gap
        return next(draw for draw in range(len(draws)) if draw not in draws)

    def report(self, trial: Trial, epoch: int, error: float) -> None:
        """Store the validation error after ``epoch``, unless it is stored already."""
        if epoch not in trial.errors:
            assert trial.handle is not None
            with self._writing():
                trial.handle.report(error, epoch)
            trial.errors[epoch] = error

    def tell(self, trial: Trial, state: TrialState, reason: str = "") -> None:
        """End the trial. The value of a complete one is the error of its last epoch."""
        # attributes first: telling the state closes the trial to writers
        self.set_attributes(trial, {**trial.cost, **({"reason": reason} if reason else {})})
        value = trial.errors[trial.last_epoch] if state == TrialState.COMPLETE else None
        with self._writing():
            self.studies[trial.cell.name].tell(trial.number, value, state=state)
        trial.state, trial.reason, trial.handle = state, reason, None

    def set_attributes(self, trial: Trial, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of the trial, for readers that use Optuna directly."""
        assert trial.handle is not None
        with storage_errors(self.label):
            for name, value in attributes.items():
                trial.handle.set_user_attr(name, value)

    def _restored(self, cell: SearchCell, frozen: FrozenTrial) -> Trial:
        """Return a stored trial. If a crash interrupted it, its missing values are completed as without the crash."""
        attributes = frozen.user_attrs
        draw = attributes["draw"] if "draw" in attributes else self._free_draw(cell)
        errors, key = dict(frozen.intermediate_values), str(attributes.get("key", ""))
        if frozen.state not in UNFINISHED:
            cost = {unit: attributes[unit] for unit in COSTS if unit in attributes}
            values = _stored_values(cell, frozen.params)
            reason = str(attributes.get("reason", ""))
            return Trial(cell, frozen.number, draw, frozen.state, values, None, errors, key, reason, cost)
        study = self.studies[cell.name]
        study.sampler = make_sampler(self.space, cell, draw)
        handle = reopen_trial(study, frozen)
        handle.set_user_attr("draw", draw)
        return Trial(cell, frozen.number, draw, frozen.state, _suggest(cell, handle), handle, errors, key)


def _suggest(cell: SearchCell, trial: optuna.Trial) -> dict[str, Value]:
    """Return the value of every active parameter, from the trial's sampler. Values that the trial already has are
    kept."""
    values: dict[str, Value] = {}
    for param in cell.params:
        if cell.is_active(param, values):
            values[param.name] = _from_optuna(param, _suggested(param, trial))
    return values


def _suggested(param: Param, trial: optuna.Trial) -> Any:
    if isinstance(param, Choice):
        return trial.suggest_categorical(param.name, param.labels)
    if param.integer:
        return trial.suggest_int(param.name, int(param.low), int(param.high), log=param.log)
    return trial.suggest_float(param.name, param.low, param.high, log=param.log)


def _stored_values(cell: SearchCell, stored: Mapping[str, Any]) -> dict[str, Value]:
    return {param.name: _from_optuna(param, stored[param.name]) for param in cell.params if param.name in stored}


def _from_optuna(param: Param, stored: Any) -> Value:
    value: Value = param.values[param.labels.index(stored)] if isinstance(param, Choice) else stored
    return value
