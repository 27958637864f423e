"""A simulated search: a real scheduler, real logs and a real Optuna storage, with runs that report made-up errors."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import optuna
from optuna.trial import FrozenTrial

import nowt.studies.search.scheduler
from nowt.config.run_config import DataConfig, ModelConfig, RunConfig
from nowt.execution.run_queue import RunQueue
from nowt.rules.registry import find_rule
from nowt.store.records import Epoch, epoch_to_json
from nowt.store.run_log import LogWriter
from nowt.store.study_file import write_study_file
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.params import Choice, Range
from nowt.studies.search.scheduler import SearchScheduler
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from nowt.studies.search.trial_storage import TrialStorage

EPOCHS = 4


MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # files that need not be on a disk


IMAGE_FACTS = {"fingerprint": "f", "classes": 10, "training": 100, "skipped": []}


Kind = Literal["none", "halving", "median"]


def random_space(sampler: Any, kind: Kind, budget: Budget, number: int, shared_runs: bool) -> SearchSpace:
    """A space with two cells. ``shared_runs``: half of their trials are the same runs, unless the sampler is TPE."""
    stopping = EarlyStopping("halving", first_rung=1, factor=2) if kind == "halving" else EarlyStopping(kind)
    cells = two_cells(shared_runs)
    return SearchSpace(f"any{number}", "Which is best?", cells, budget, sampler=sampler, stopping=stopping)


@cache
def two_cells(shared_runs: bool) -> tuple[SearchCell, SearchCell]:
    base = RunConfig(ModelConfig(), DataConfig(), epochs=EPOCHS, test=False)
    params = (Range("optim.lr", 0.01, 1.0, log=True), Range("optim.momentum", 0.1, 0.9))
    other = (*params, Choice("optim.nesterov", (False, True)))
    first, second = (
        replace(base, rule=find_rule("bp")()),
        replace(base, rule=find_rule("bp" if shared_runs else "fa")()),
    )
    return SearchCell("one", first, params), SearchCell("other", second, other)


def error(key: str, epoch: int) -> float:
    """The error of a run after an epoch; always the same for a key and an epoch."""
    return int(hashlib.sha256(f"{key} {epoch}".encode()).hexdigest()[:6], 16) / 16**6


def diverges(key: str) -> int | None:
    """The epoch in which a run diverges, None if it does not."""
    return {0: 1, 4: 2}.get(int(key, 16) % 8)


def end_message(key: str) -> dict[str, Any]:
    """The last message of a run. The epoch in which it diverges costs as much as any other, and is not logged."""
    if (epoch := diverges(key)) is None:
        return {"kind": "end", "state": "finished", "reason": ""}
    spent = {"presentations": float(epoch), "flops": 1.0, "seconds": 1.0}
    return {"kind": "end", "state": "diverged", "reason": "", "spent": spent}


@cache
def epoch_message(key: str, epoch: int) -> dict[str, Any]:
    value = error(key, epoch)
    record = Epoch(epoch, epoch, 0.1, 1.0, 0.5, 1.0, value, 1.0, 0.5, epoch, 0, 1.0, 1.0, 0.0)
    return {"kind": "epoch", "epoch": epoch_to_json(record)}


class Killed(BaseException):
    """The process was killed."""


WRITES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (LogWriter, ("start", "resume", "epoch", "end")),
    (
        optuna.storages.InMemoryStorage,
        (
            "create_new_study",
            "create_new_trial",
            "set_trial_param",
            "set_trial_user_attr",
            "set_trial_intermediate_value",
            "set_trial_state_values",
        ),
    ),
    (nowt.studies.search.scheduler, ("append_run", "append_stop", "append_failure")),
)


@contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """Kill the process before the write after this number of ``writes``, if there is one."""
    left = iter(range(writes))

    def guarded(write: Any) -> Any:
        def guarded_write(*given: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return write(*given, **named)

        return guarded_write

    with ExitStack() as patched, suppress(Killed):
        for place, names in WRITES:
            for name in names:
                patched.enter_context(patch.object(place, name, guarded(getattr(place, name))))
        yield


@dataclass
class SimulatedSearch:
    """What survives a crash (logs, Optuna's storage, the study file), and a scheduler, which does not."""

    space: SearchSpace
    slots: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(dir=MEMORY)))
    storage: optuna.storages.BaseStorage = field(default_factory=optuna.storages.InMemoryStorage)
    next_epoch: dict[str, int] = field(default_factory=dict)  # epoch that each live run reports next
    lost: int = 0  # number of runs whose machine failed

    def __post_init__(self) -> None:
        self.content = space_to_json(self.space)
        self.start()

    def start(self) -> None:
        self.next_epoch.clear()
        trials = TrialStorage.open(self.space, self.storage)
        stopping = {"none": (), "halving": (1, 2), "median": (1, 2, 3)}[self.space.stopping.kind]
        rungs = {cell.name: stopping for cell in self.space.cells}
        image_facts = {cell.name: IMAGE_FACTS for cell in self.space.cells}
        queue = RunQueue(self.folder, (), lambda planned, run: None)
        study_file, _ = write_study_file(self.folder, self.space.key, self.content)
        self.scheduler = SearchScheduler(self.space, queue, trials, image_facts, rungs, study_file)
        self.scheduler.load_results()

    def fill(self) -> None:
        while len(self.next_epoch) < self.slots and (decision := self.scheduler.decide()).do == "start":
            assert decision.key not in self.next_epoch, "a run was started twice at the same time"
            self.scheduler.begin(decision.key)
            self.scheduler.receive(decision.key, {"kind": "start"})
            self.next_epoch[decision.key] = 0

    def advance(self, key: str) -> None:
        """The run reports its next epoch, or its end after the last one. A resumed run reports all epochs again."""
        epoch = self.next_epoch[key]
        if epoch in (EPOCHS + 1, diverges(key)):
            self.scheduler.receive(key, end_message(key))
            del self.next_epoch[key]
            return
        self.next_epoch[key] += 1
        if not self.scheduler.receive(key, epoch_message(key, epoch)):
            del self.next_epoch[key]

    def mark_failed(self, key: str) -> None:
        """The run's machine fails permanently."""
        self.scheduler.mark_failed(key, "the run's worker died 4 times")
        del self.next_epoch[key]
        self.lost += 1

    def finish(self) -> None:
        self.fill()
        while self.next_epoch:
            self.advance(next(iter(self.next_epoch)))
            self.fill()

    def trials(self) -> dict[str, list[FrozenTrial]]:
        return {cell: study.get_trials(deepcopy=False) for cell, study in self.scheduler.storage.studies.items()}

    def contents(self) -> list[tuple[Any, ...]]:
        found = [(cell, t) for cell, ts in self.trials().items() for t in ts]
        return [(c, t.number, t.state, t.value, t.params, t.intermediate_values, t.user_attrs) for c, t in found]
