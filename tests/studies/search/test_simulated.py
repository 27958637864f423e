"""Searches under any order of epochs, ends, crashes and restarts: no trial is lost or run twice, the budget holds, and
states are correct. With one slot, the trials are exactly those of an uninterrupted search."""

import os
import shutil
from itertools import permutations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from optuna.trial import FrozenTrial, TrialState

from nowt.store.listed_runs import ListedRun
from nowt.store.run_log import read
from nowt.store.study_file import read_study_file
from nowt.studies.search.space import Budget
from tests.support.simulated_search import EPOCHS, Kind, SimulatedSearch, error, killed_after, random_space

SPACES = 50  # number of spaces with different draws; in some, most runs diverge


SCHEDULES = int(os.environ.get("NOWT_SCHEDULES", "200"))


BUDGETS = (*map(Budget, (1, 2, 3, 5)), Budget(2.0 * EPOCHS, "presentations"), Budget(9.0, "flops"))


class AnySearch(RuleBasedStateMachine):
    """Runs advance and the process crashes, in any order, before any of its writes."""

    slots: st.SearchStrategy[int]

    @initialize(
        data=st.data(),
        sampler=st.sampled_from(["random", "quasi_random", "tpe"]),
        kind=st.sampled_from(["none", "halving", "median"]),
        budget=st.sampled_from(BUDGETS),
        number=st.integers(1, SPACES),
        shared_runs=st.booleans(),
    )
    def begin(
        self, data: st.DataObject, sampler: str, kind: Kind, budget: Budget, number: int, shared_runs: bool
    ) -> None:
        self.search = SimulatedSearch(random_space(sampler, kind, budget, number, shared_runs), data.draw(self.slots))

    @rule()
    def free_slots_are_filled(self) -> None:
        self.search.fill()

    @precondition(lambda self: self.search.next_epoch)
    @rule(data=st.data(), times=st.integers(1, 6))
    def a_run_advances(self, data: st.DataObject, times: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.search.next_epoch)))
        for _ in range(times):
            if key in self.search.next_epoch:
                self.search.advance(key)

    @precondition(lambda self: self.search.next_epoch and self.search.lost < 2)
    @rule(data=st.data())
    def a_machine_fails(self, data: st.DataObject) -> None:
        self.search.mark_failed(data.draw(st.sampled_from(sorted(self.search.next_epoch))))

    @rule()
    def the_process_crashes_and_restarts(self) -> None:
        self.search.start()

    @rule(writes=st.integers(0, 24))
    def the_process_crashes_after_some_writes(self, writes: int) -> None:
        """Writes to a log, to Optuna's storage or to the study file, from the start of the process on."""
        with killed_after(writes):
            self.search.start()
            self.search.fill()
            for key in sorted(self.search.next_epoch):
                self.search.advance(key)
        self.search.start()

    @invariant()
    def the_budget_holds_and_no_trial_runs_twice(self) -> None:
        if hasattr(self, "search"):
            for found in self.search.trials().values():
                draws = [t.user_attrs.get("draw") for t in found if t.state != TrialState.FAIL]
                assert len(set(draws)) == len(draws)
                assert len(draws) <= trial_limit(self.search.space.budget)
            if not self.search.lost:
                cells = self.search.scheduler.budget.spent.values()
                assert max(cells) - min(cells) <= self.search.slots * highest_cost(self.search.space.budget)

    def teardown(self) -> None:
        """After a last restart, the search completes its budget, and the states of its trials are correct."""
        if not hasattr(self, "search"):
            return
        search = self.search
        search.start()
        search.finish()
        assert search.scheduler.done
        for cell, found in search.trials().items():
            good = [trial for trial in found if trial.state != TrialState.FAIL]
            budget, slots = search.space.budget, search.slots
            assert budget.amount <= spent(good, budget) < budget.amount + (slots + search.lost) * highest_cost(budget)
            draws = sorted(trial.user_attrs["draw"] for trial in good)
            if search.space.budget.unit == "trials":  # otherwise other trials may have spent the budget of a failed one
                assert draws == list(range(len(good)))
            assert len(good) <= trial_limit(search.space.budget) and len(found) - len(good) <= search.lost
            failed = {trial.number for trial in found if trial.state == TrialState.FAIL}
            assert failed == {run.trial for run in listed(search) if run.cell == cell and run.failed}
            for trial in good:
                check_trial(cell, trial, search)
        if search.slots == 1 and not search.lost:
            undisturbed = SimulatedSearch(search.space, 1)
            undisturbed.finish()
            assert search.contents() == undisturbed.contents()
            shutil.rmtree(undisturbed.folder)
        shutil.rmtree(search.folder)


def spent(trials: list[FrozenTrial], budget: Budget) -> float:
    return len(trials) if budget.unit == "trials" else sum(trial.user_attrs[budget.unit] for trial in trials)


def highest_cost(budget: Budget) -> float:
    """The highest cost of one trial."""
    return EPOCHS if budget.unit == "presentations" else 1


def trial_limit(budget: Budget) -> float:
    """The largest number of trials in a cell."""
    return budget.amount if budget.unit == "trials" else budget.amount + 3


def listed(search: SimulatedSearch) -> list[ListedRun]:
    """The runs in the study file."""
    return read_study_file(search.folder / "studies" / f"{search.space.key}.json").runs


def check_trial(cell: str, trial: FrozenTrial, search: SimulatedSearch) -> None:
    """Check that the trial's state agrees with its run's log, and that it has the run's errors."""
    key, values = trial.user_attrs["key"], dict(trial.intermediate_values)
    log = read(search.folder / "logs" / f"{key}.jsonl")
    assert [epoch.epoch for epoch in log.epochs] == list(range(log.last_epoch + 1))
    (listed_run,) = (run for run in listed(search) if (run.cell, run.trial) == (cell, trial.number))
    last, stopped = log.last_epoch if listed_run.stopped is None else listed_run.stopped, listed_run.stopped is not None
    if log.state == "diverged" and not stopped:
        assert values.pop(last + 1) == 0.9 and trial.user_attrs["reason"] == "diverged"
    assert values == {epoch: error(key, epoch) for epoch in range(1, last + 1)}
    expected = TrialState.COMPLETE if log.state == "finished" and not stopped else TrialState.PRUNED
    assert trial.state == expected and (expected == TrialState.PRUNED or last == EPOCHS)


class OneSlot(AnySearch):
    slots = st.just(1)


class ManySlots(AnySearch):
    slots = st.integers(2, 3)


HALF = settings(
    max_examples=SCHEDULES // 2, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


OneSlot.TestCase.settings = ManySlots.TestCase.settings = HALF


TestOneSlot, TestManySlots = OneSlot.TestCase, ManySlots.TestCase


def test_a_trial_that_joins_a_started_run_gets_its_earlier_epochs() -> None:
    space, shared = random_space("quasi_random", "none", Budget(2), 1, shared_runs=True), 0
    for lost, advancing in permutations(range(3), 2):
        search = SimulatedSearch(space, slots=3)
        search.fill()
        live = sorted(search.next_epoch)
        search.mark_failed(live[lost])
        search.advance(live[advancing])
        search.advance(live[advancing])  # epoch 1; a slot is free, and a trial of the other cell may need this run
        search.finish()
        sharing = [t for found in search.trials().values() for t in found if t.user_attrs["key"] == live[advancing]]
        assert all(
            list(t.intermediate_values) == list(range(1, EPOCHS + 1)) for t in sharing if t.state.name == "COMPLETE"
        )
        assert len({str(t.intermediate_values) for t in sharing}) == 1
        shared += len(sharing) > 1
        shutil.rmtree(search.folder)
    assert shared > 0
