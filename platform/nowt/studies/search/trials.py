"""Optuna's storage: which values each trial of a search got, what it reached, and how it ended.

The epoch logs are the truth about what was measured; what was *decided* stands here. One Optuna study a cell, named
SPACE/CELL; plain Optuna and optuna-dashboard read it as it is.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from nowt.core.errors import ConfigError
from nowt.core.urls import database_url
from nowt.store.layout import Store
from nowt.studies.search.params import Choice, Param, Value
from nowt.studies.search.samplers import sampler
from nowt.studies.search.space import SearchCell, SearchSpace
from nowt.studies.search.storage_lock import engine_arguments, sole_driver

optuna.logging.set_verbosity(optuna.logging.WARNING)

COSTS = ("presentations", "flops", "seconds")

OPEN = (TrialState.RUNNING, TrialState.WAITING)


@dataclass
class Trial:
    """One trial as its storage tells it."""

    cell: SearchCell
    number: int
    draw: int  # which proposal it got; a trial that failed leaves its draw to one of the next start
    state: TrialState
    values: dict[str, Value]
    handle: optuna.Trial | None = None  # of an open one
    errors: dict[int, float] = field(default_factory=dict)  # validation error by epoch
    key: str = ""  # of its run
    cost: dict[str, float] = field(default_factory=dict)  # presentations, FLOPs and seconds of training
    counted: bool = False  # into its cell's budget

    @property
    def last_epoch(self) -> int:
        """The last epoch whose error is stored; 0 where there is none."""
        return max(self.errors, default=0)


@dataclass
class Decisions:
    """The trials of a space, each cell's in a study of its own; the only writer while it lives."""

    space: SearchSpace
    studies: dict[str, optuna.Study]
    trials: list[Trial] = field(default_factory=list)
    taken: dict[str, set[int]] = field(default_factory=dict)  # draws, by cell
    place: str = "Optuna's storage"  # what to call it
    keep_hold: Callable[[], None] = lambda: None  # raises where another driver has the search by now

    @classmethod
    @contextmanager
    def at(cls, space: SearchSpace, url: str) -> Iterator["Decisions"]:
        """The decisions of ``space`` in the storage at ``url``, held against a second driver. Raises ConfigError for
        what is no URL of a database or is held, OSError where it cannot be used."""
        place = _place(url)
        with ExitStack() as stack:
            with _usable(place):
                storage = _storage(url)
                stack.callback(storage.engine.dispose)
                keep_hold = stack.enter_context(sole_driver(url, space.key))
            found = cls.open(space, storage, place)
            found.keep_hold = keep_hold
            yield found

    @classmethod
    def open(cls, space: SearchSpace, storage: optuna.storages.BaseStorage, place: str = place) -> "Decisions":
        """The decisions of ``space`` in ``storage``, and those trials made whole that a crash left half asked."""
        found = cls(space, {}, taken={cell.name: set() for cell in space.cells}, place=place)
        with _usable(place):
            for cell in space.cells:
                name = f"{space.key}/{cell.name}"
                study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
                found.studies[cell.name] = study
                for frozen in study.get_trials(deepcopy=False):
                    found._add(found._known(cell, frozen))
        return found

    def check(self, pictures: Mapping[str, Mapping[str, Any]], store: Path) -> None:
        """Raise ConfigError where earlier trials were scored on other pictures than these (facts, by cell), or have
        their runs in another store; before a run or a study file is."""
        for cell in self.space.cells:
            now = pictures[cell.name]["fingerprint"]
            if (then := self._pictures_of(cell, now)) != now:
                raise ConfigError(
                    f"search {self.space.name} was begun on other pictures ({then[:12]}, these are {now[:12]}): "
                    "give the --data-dir that it was begun with, or another --store"
                )
        for trial in self.trials:
            ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            if ended and not Store(store).log(trial.key).exists():
                raise ConfigError(
                    f"trial {trial.number} of {trial.cell.name} has its run, {trial.key}, in another store than "
                    f"{store}: give --store that one, or another --storage"
                )

    def _pictures_of(self, cell: SearchCell, fingerprint: str) -> str:
        """The fingerprint of the pictures that the cell's trials are scored on: from the first start on, this one."""
        study = self.studies[cell.name]
        with _usable(self.place):
            if "pictures" not in study.user_attrs:
                study.set_user_attr("pictures", fingerprint)
            return str(study.user_attrs["pictures"])

    def ask(self, cell: SearchCell) -> Trial:
        """A new trial of ``cell``, with the proposal of the first draw that no other trial has. One that failed is
        tried again, once at each start: whatever always fails must not eat the budget of those behind it."""
        draw = self._free(cell)
        study = self.studies[cell.name]
        study.sampler = sampler(self.space, cell, draw)
        with self._writing():
            asked = study.ask()
            asked.set_user_attr("draw", draw)
            trial = Trial(cell, asked.number, draw, TrialState.RUNNING, _suggest(cell, asked), asked)
        self._add(trial)
        return trial

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _usable(self.place):
            self.keep_hold()
            yield

    @property
    def ended(self) -> int:
        """How many trials have an end that counts."""
        return sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in self.trials)

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        if trial.state != TrialState.FAIL:
            self.taken[trial.cell.name].add(trial.draw)

    def _free(self, cell: SearchCell) -> int:
        """The first draw that no trial of the cell has."""
        taken = self.taken[cell.name]
        if not taken or max(taken) < len(taken):
            return len(taken)  # without a gap, as nearly always
        return next(draw for draw in range(len(taken)) if draw not in taken)

    def report(self, trial: Trial, epoch: int, error: float) -> None:
        """Store the validation error after ``epoch``; once."""
        if epoch not in trial.errors:
            assert trial.handle is not None
            with self._writing():
                trial.handle.report(error, epoch)
            trial.errors[epoch] = error

    def tell(self, trial: Trial, state: TrialState, reason: str = "") -> None:
        """Close the trial; COMPLETE with the error of its last epoch."""
        # before the tell: then it is closed to writers
        self.note(trial, {**trial.cost, **({"reason": reason} if reason else {})})
        value = trial.errors[trial.last_epoch] if state == TrialState.COMPLETE else None
        with self._writing():
            self.studies[trial.cell.name].tell(trial.number, value, state=state)
        trial.state, trial.handle = state, None

    def note(self, trial: Trial, facts: Mapping[str, Any]) -> None:
        """Keep facts beside the trial, for whoever reads the storage with plain Optuna."""
        assert trial.handle is not None
        with _usable(self.place):
            for name, value in facts.items():
                trial.handle.set_user_attr(name, value)

    def _known(self, cell: SearchCell, frozen: FrozenTrial) -> Trial:
        """A stored trial; one that a crash left with half its values gets the rest, as it would have."""
        facts = frozen.user_attrs
        draw = facts["draw"] if "draw" in facts else self._free(cell)
        errors, key = dict(frozen.intermediate_values), facts.get("key", "")
        if frozen.state not in OPEN:
            cost = {unit: facts[unit] for unit in COSTS if unit in facts}
            return Trial(cell, frozen.number, draw, frozen.state, _read(cell, frozen.params), None, errors, key, cost)
        study = self.studies[cell.name]
        study.sampler = sampler(self.space, cell, draw)
        handle = optuna.Trial(study, frozen._trial_id)
        handle.set_user_attr("draw", draw)
        return Trial(cell, frozen.number, draw, frozen.state, _suggest(cell, handle), handle, errors, key)


def _storage(url: str) -> optuna.storages.RDBStorage:
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs=_engine(url))
    except ImportError as error:  # Optuna's own, of several lines
        missing = getattr(error.__cause__, "name", None) or str(error).partition("\n")[0]
        raise ConfigError(f"--storage {_place(url)} needs Python's {missing}, which is not installed") from None
    if url.startswith("sqlite:///"):
        event.listen(storage.engine, "connect", _sync_less)
        storage.engine.dispose()  # connections made before know nothing of it
    return storage


@contextmanager
def _usable(place: str) -> Iterator[None]:
    """Turn the errors of a database that is full, locked, read-only or gone into an OSError of one line."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = str(getattr(cause, "orig", None) or cause).partition("\n")[0]
        raise OSError(f"{place} cannot be used ({reason}): nothing is lost, the same command goes on") from error


def _place(url: str) -> str:
    """What to call the storage at ``url``: its file, or its address."""
    parts = database_url(url, "--storage", "sqlite:///DIR/optuna.db or postgresql://HOST/NAME")
    return parts.database or url if parts.drivername == "sqlite" else parts.render_as_string()


def _suggest(cell: SearchCell, asked: optuna.Trial) -> dict[str, Value]:
    """Every value that exists beside the others, from the trial's sampler; those it has already stay."""
    values: dict[str, Value] = {}
    for param in cell.params:
        if cell.active(param, values):
            values[param.name] = _value(param, _asked(param, asked))
    return values


def _asked(param: Param, trial: optuna.Trial) -> Any:
    if isinstance(param, Choice):
        return trial.suggest_categorical(param.name, param.labels)
    if param.integer:
        return trial.suggest_int(param.name, int(param.low), int(param.high), log=param.log)
    return trial.suggest_float(param.name, param.low, param.high, log=param.log)


def _read(cell: SearchCell, stored: Mapping[str, Any]) -> dict[str, Value]:
    return {param.name: _value(param, stored[param.name]) for param in cell.params if param.name in stored}


def _value(param: Param, stored: Any) -> Value:
    value: Value = param.values[param.labels.index(stored)] if isinstance(param, Choice) else stored
    return value


def _sync_less(connection: Any, _: object) -> None:
    """Sync at checkpoints of the write-ahead log, not at each commit: a killed process loses nothing. After a power cut
    the last decisions may be missing; they are made again as they were, and the logs have the rest."""
    connection.execute("PRAGMA synchronous=NORMAL")


def _engine(url: str) -> dict[str, Any]:
    """Sqlite in write-ahead mode, so that whoever browses the storage does not hold the search up. A server may have
    been restarted since the last trial: its connections are tried before they are used."""
    if not url.startswith("sqlite:///"):
        return {"pool_pre_ping": True, **engine_arguments(url)}
    path = Path(url.removeprefix("sqlite:///"))
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be used as a database ({error}): free it or move it away") from None
    return {"connect_args": {"timeout": 20.0}}
