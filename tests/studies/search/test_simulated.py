"""A search under any order of epochs, ends, crashes and restarts: no trial lost, none twice, the budget exact, the
states true; and with one slot the very trials of a search that nothing disturbed."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import optuna
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from optuna.trial import FrozenTrial, TrialState

import nowt.studies.search.driver
from nowt.config.run_config import DataConfig, ModelConfig, RunConfig
from nowt.execution.run_queue import RunQueue
from nowt.rules.registry import find_rule
from nowt.store.records import Epoch, epoch_to_json
from nowt.store.run_log import LogWriter, read
from nowt.store.study_file import ListedRun, read_study_file, write_study_file
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.driver import SearchDriver
from nowt.studies.search.params import Choice, Range
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace, space_to_json
from nowt.studies.search.trial_storage import TrialStorage

EPOCHS, BUDGET = 4, 3

SPACES = 50  # of other draws: in some, most runs diverge

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # files that need not reach a disk

SCHEDULES = int(os.environ.get("NOWT_SCHEDULES", "2000"))

PICTURES = {"fingerprint": "f", "classes": 10, "training": 100, "skipped": []}

Kind = Literal["none", "halving", "median"]

BUDGETS = (*map(Budget, (1, 2, BUDGET, 5)), Budget(2.0 * EPOCHS, "presentations"), Budget(9.0, "flops"))


def the_space(sampler: Any, kind: Kind, budget: Budget, number: int, alike: bool) -> SearchSpace:
    """Two cells; ``alike``: half of their trials are the same runs, unless the sampler learns from each for itself."""
    base = RunConfig(ModelConfig(), DataConfig(), epochs=EPOCHS, test=False)
    params = (Range("optim.lr", 0.01, 1.0, log=True), Range("optim.momentum", 0.1, 0.9))
    other = (*params, Choice("optim.nesterov", (False, True)))
    first, second = replace(base, rule=find_rule("bp")()), replace(base, rule=find_rule("bp" if alike else "fa")())
    cells = (SearchCell("one", first, params), SearchCell("other", second, other))
    stopping = EarlyStopping("halving", first_rung=1, factor=2) if kind == "halving" else EarlyStopping(kind)
    return SearchSpace(f"any{number}", "Which is best?", cells, budget, sampler=sampler, stopping=stopping)


def error(key: str, epoch: int) -> float:
    """What a run measures: the same whenever it is asked."""
    return int(hashlib.sha256(f"{key} {epoch}".encode()).hexdigest()[:6], 16) / 16**6


def diverges(key: str) -> int | None:
    """The epoch in which a run diverges."""
    return {0: 1, 4: 2}.get(int(key, 16) % 8)


def last_word(key: str) -> dict[str, Any]:
    """What a run ends with; the epoch in which it diverges costs as much as any, and is not logged."""
    if (epoch := diverges(key)) is None:
        return {"kind": "end", "state": "finished", "reason": ""}
    spent = {"presentations": float(epoch), "flops": 1.0, "seconds": 1.0}
    return {"kind": "end", "state": "diverged", "reason": "", "spent": spent}


@cache
def said(key: str, epoch: int) -> dict[str, Any]:
    value = error(key, epoch)
    record = Epoch(epoch, epoch, 0.1, 1.0, 0.5, 1.0, value, 1.0, 0.5, epoch, 0, 1.0, 1.0, 0.0)
    return {"kind": "epoch", "epoch": epoch_to_json(record)}


class Killed(BaseException):
    """The process is gone."""


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
    (nowt.studies.search.driver, ("append_run", "append_stop", "append_failure")),
)


@contextmanager
def killed_after(writes: int) -> Iterator[None]:
    """The process is killed before the write that follows so many, if it comes to that."""
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
class World:
    """What outlives a crash: logs, Optuna's storage, the study file. And one driver, which does not."""

    space: SearchSpace
    slots: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(dir=MEMORY)))
    storage: optuna.storages.BaseStorage = field(default_factory=optuna.storages.InMemoryStorage)
    next: dict[str, int] = field(default_factory=dict)  # epoch that each live run tells next
    lost: int = 0  # runs whose machine failed

    def __post_init__(self) -> None:
        self.content = space_to_json(self.space)
        self.start()

    def start(self) -> None:
        self.next.clear()
        decisions = TrialStorage.open(self.space, self.storage)
        stopping = {"none": (), "halving": (1, 2), "median": (1, 2, 3)}[self.space.stopping.kind]
        rungs = {cell.name: stopping for cell in self.space.cells}
        pictures = {cell.name: PICTURES for cell in self.space.cells}
        queue = RunQueue(self.folder, (), lambda planned, run: None)
        study_file, _ = write_study_file(self.folder, self.space.key, self.content)
        self.driver = SearchDriver(self.space, queue, decisions, pictures, rungs, study_file)
        self.driver.recall()

    def fill(self) -> None:
        while len(self.next) < self.slots and (decision := self.driver.decide()).do == "start":
            assert decision.key not in self.next, "a run was started twice at once"
            self.driver.begin(decision.key)
            self.driver.receive(decision.key, {"kind": "start"})
            self.next[decision.key] = 0

    def advance(self, key: str) -> None:
        """The run tells its epoch; after the last one, its end. One that is taken up again tells all of them again."""
        epoch = self.next[key]
        if epoch in (EPOCHS + 1, diverges(key)):
            self.driver.receive(key, last_word(key))
            del self.next[key]
            return
        self.next[key] += 1
        if not self.driver.receive(key, said(key, epoch)):
            del self.next[key]

    def mark_failed(self, key: str) -> None:
        """The run's machine is gone for good."""
        self.driver.mark_failed(key, "the run's worker died 4 times")
        del self.next[key]
        self.lost += 1

    def finish(self) -> None:
        self.fill()
        while self.next:
            self.advance(next(iter(self.next)))
            self.fill()

    def trials(self) -> dict[str, list[FrozenTrial]]:
        return {cell: study.get_trials(deepcopy=False) for cell, study in self.driver.storage.studies.items()}

    def told(self) -> list[tuple[Any, ...]]:
        found = [(cell, t) for cell, ts in self.trials().items() for t in ts]
        return [(c, t.number, t.state, t.value, t.params, t.intermediate_values, t.user_attrs) for c, t in found]


class AnySearch(RuleBasedStateMachine):
    """Runs go on and the whole process crashes, in any order, before any of its writes."""

    slots: st.SearchStrategy[int]

    @initialize(
        data=st.data(),
        sampler=st.sampled_from(["random", "quasi_random", "tpe"]),
        kind=st.sampled_from(["none", "halving", "median"]),
        budget=st.sampled_from(BUDGETS),
        number=st.integers(1, SPACES),
        alike=st.booleans(),
    )
    def begin(self, data: st.DataObject, sampler: str, kind: Kind, budget: Budget, number: int, alike: bool) -> None:
        self.world = World(the_space(sampler, kind, budget, number, alike), data.draw(self.slots))

    @rule()
    def free_slots_are_filled(self) -> None:
        self.world.fill()

    @precondition(lambda self: self.world.next)
    @rule(data=st.data(), times=st.integers(1, 6))
    def a_run_goes_on(self, data: st.DataObject, times: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.world.next)))
        for _ in range(times):
            if key in self.world.next:
                self.world.advance(key)

    @precondition(lambda self: self.world.next and self.world.lost < 2)
    @rule(data=st.data())
    def a_runs_machine_is_lost(self, data: st.DataObject) -> None:
        self.world.mark_failed(data.draw(st.sampled_from(sorted(self.world.next))))

    @rule()
    def the_process_crashes_and_is_started_again(self) -> None:
        self.world.start()

    @rule(writes=st.integers(0, 24))
    def it_crashes_after_so_many_writes(self, writes: int) -> None:
        """To its log, to Optuna's storage or to its study file; from its start on."""
        with killed_after(writes):
            self.world.start()
            self.world.fill()
            for key in sorted(self.world.next):
                self.world.advance(key)
        self.world.start()

    @invariant()
    def the_budget_is_kept_and_no_trial_is_had_twice(self) -> None:
        if hasattr(self, "world"):
            for found in self.world.trials().values():
                draws = [t.user_attrs.get("draw") for t in found if t.state != TrialState.FAIL]
                assert len(set(draws)) == len(draws)
                assert len(draws) <= most(self.world.space.budget)
            if not self.world.lost:
                cells = self.world.driver.budget.spent.values()
                assert max(cells) - min(cells) <= self.world.slots * dearest(self.world.space.budget)

    def teardown(self) -> None:
        """Whatever happened: started once more, the search ends with its budget in true states."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.start()
        world.finish()
        assert world.driver.done
        for cell, found in world.trials().items():
            good = [trial for trial in found if trial.state != TrialState.FAIL]
            budget, slots = world.space.budget, world.slots
            assert budget.amount <= spent(good, budget) < budget.amount + (slots + world.lost) * dearest(budget)
            draws = sorted(trial.user_attrs["draw"] for trial in good)
            if world.space.budget.unit == "trials":  # else others may have spent what a lost one left
                assert draws == list(range(len(good)))
            assert len(good) <= most(world.space.budget) and len(found) - len(good) <= world.lost
            failed = {trial.number for trial in found if trial.state == TrialState.FAIL}
            assert failed == {run.trial for run in listed(world) if run.cell == cell and run.failed}
            for trial in good:
                check(cell, trial, world)
        if world.slots == 1 and not world.lost:
            undisturbed = World(world.space, 1)
            undisturbed.finish()
            assert world.told() == undisturbed.told()
            shutil.rmtree(undisturbed.folder)
        shutil.rmtree(world.folder)


def spent(trials: list[FrozenTrial], budget: Budget) -> float:
    return len(trials) if budget.unit == "trials" else sum(trial.user_attrs[budget.unit] for trial in trials)


def dearest(budget: Budget) -> float:
    """What one trial costs at the most."""
    return EPOCHS if budget.unit == "presentations" else 1


def most(budget: Budget) -> float:
    """Trials that a cell may have: with another unit than trials, one of one epoch or more each."""
    return budget.amount if budget.unit == "trials" else budget.amount + 3


def listed(world: World) -> list[ListedRun]:
    """The trials' runs as the study file lists them."""
    return read_study_file(world.folder / "studies" / f"{world.space.key}.json").runs


def check(cell: str, trial: FrozenTrial, world: World) -> None:
    """The trial's state says what its run did, or that it stopped it there, and its values are the run's."""
    key, values = trial.user_attrs["key"], dict(trial.intermediate_values)
    log = read(world.folder / "logs" / f"{key}.jsonl")
    assert [epoch.epoch for epoch in log.epochs] == list(range(log.last_epoch + 1))
    (mine,) = (run for run in listed(world) if (run.cell, run.trial) == (cell, trial.number))
    last, stopped = log.last_epoch if mine.stopped is None else mine.stopped, mine.stopped is not None
    if log.state == "diverged" and not stopped:
        assert values.pop(last + 1) == 0.9 and trial.user_attrs["reason"] == "diverged"
    assert values == {epoch: error(key, epoch) for epoch in range(1, last + 1)}
    expected = TrialState.COMPLETE if log.state == "finished" and not stopped else TrialState.PRUNED
    assert trial.state == expected and (expected == TrialState.PRUNED or last == EPOCHS)


class OneSlot(AnySearch):
    slots = st.just(1)


class ManySlots(AnySearch):
    slots = st.integers(2, 3)


# half of them each, so that two processes can share the work
HALF = settings(
    max_examples=SCHEDULES // 2, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

OneSlot.TestCase.settings = ManySlots.TestCase.settings = HALF

TestOneSlot, TestManySlots = OneSlot.TestCase, ManySlots.TestCase


def test_a_trial_that_joins_a_run_in_mid_way_has_the_epochs_before_too() -> None:
    space, shared = the_space("quasi_random", "none", Budget(2), 1, alike=True), 0
    for lost, going_on in permutations(range(3), 2):
        world = World(space, slots=3)
        world.fill()
        live = sorted(world.next)
        world.mark_failed(live[lost])
        world.advance(live[going_on])
        world.advance(live[going_on])  # epoch 1; a slot is free, and the other cell's trial may want this run
        world.finish()
        sharing = [t for found in world.trials().values() for t in found if t.user_attrs["key"] == live[going_on]]
        assert all(
            list(t.intermediate_values) == list(range(1, EPOCHS + 1)) for t in sharing if t.state.name == "COMPLETE"
        )
        assert len({str(t.intermediate_values) for t in sharing}) == 1
        shared += len(sharing) > 1
        shutil.rmtree(world.folder)
    assert shared > 0
