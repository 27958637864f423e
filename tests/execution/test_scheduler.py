"""What a study does next, under any order of starts, ends, crashes and restarts."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nowt.execution.scheduler import Decision, RunStatus, decide, unfinished
from nowt.store.records import FINAL_STATES

KEYS = [f"run{i}" for i in range(6)]

plans = st.lists(st.sampled_from(KEYS), min_size=1, max_size=8)  # two cells may share a run

states = st.sampled_from(["missing", "running", "finished", "diverged", "failed"])

some_statuses = st.dictionaries(st.sampled_from(KEYS), st.builds(RunStatus, states, st.integers(-1, 5)))

some_keys = st.sets(st.sampled_from(KEYS))


@given(plan=plans, statuses=some_statuses)
def test_unfinished_runs_come_in_order_with_interrupted_ones_first(
    plan: list[str], statuses: dict[str, RunStatus]
) -> None:
    found = unfinished(plan, statuses)
    assert set(found) == {key for key in plan if key not in statuses or statuses[key].state not in FINAL_STATES}
    begun = [key in statuses and statuses[key].last_epoch >= 0 for key in found]
    assert begun == sorted(begun, reverse=True)
    for group in (True, False):
        members = [key for key, is_begun in zip(found, begun, strict=True) if is_begun is group]
        assert members == [key for key in plan if key in members]


@given(plan=plans, statuses=some_statuses, running=some_keys, attempted=some_keys)
def test_no_run_starts_that_has_ended_is_running_or_was_attempted(
    plan: list[str], statuses: dict[str, RunStatus], running: set[str], attempted: set[str]
) -> None:
    ready = [key for key in unfinished(plan, statuses) if key not in running | attempted]
    decision = decide(plan, statuses, running, attempted)
    if ready:
        assert decision == Decision("start", ready[0])
    else:
        assert decision == Decision("wait" if running else "done")


@given(plan=plans, statuses=some_statuses, running=some_keys, attempted=some_keys)
def test_deciding_has_no_effect_and_can_be_repeated(
    plan: list[str], statuses: dict[str, RunStatus], running: set[str], attempted: set[str]
) -> None:
    before = (list(plan), dict(statuses), set(running), set(attempted))
    assert decide(plan, statuses, running, attempted) == decide(plan, statuses, frozenset(running), list(attempted))
    assert (plan, statuses, running, attempted) == before


def test_a_study_without_runs_is_done() -> None:
    assert decide([], {}, [], []) == Decision("done")


@dataclass
class SimulatedStudy:
    """A study whose statuses survive a crash, as the logs do; the rest is lost."""

    plan: list[str]
    slots: int
    statuses: dict[str, RunStatus] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    attempted: set[str] = field(default_factory=set)
    results: Counter[str] = field(default_factory=Counter)  # times that a run got a result
    starts: Counter[str] = field(default_factory=Counter)  # times that a run was started since the last restart

    def fill(self) -> None:
        """Start runs until no slot is free or nothing is left to start."""
        while len(self.running) < self.slots:
            decision = decide(self.plan, self.statuses, self.running, self.attempted)
            if decision.do != "start":
                return
            assert decision.key in self.plan
            assert decision.key not in self.running, "a run was started twice at once"
            assert self.results[decision.key] == 0, "a run that has its result was started again"
            self.running.append(decision.key)
            self.attempted.add(decision.key)
            self.starts[decision.key] += 1

    def end(self, key: str, state: str) -> None:
        self.running.remove(key)
        self.statuses[key] = RunStatus(state, self.statuses.get(key, RunStatus()).last_epoch)  # type: ignore[arg-type]
        self.results[key] += state in FINAL_STATES

    def crash(self) -> None:
        """The process dies; the next one has only the statuses."""
        self.running, self.attempted, self.starts = [], set(), Counter()


class AnyStudy(RuleBasedStateMachine):
    """Runs start, end and fail, and the whole process crashes, in any order."""

    @initialize(plan=plans, slots=st.integers(1, 4))
    def begin(self, plan: list[str], slots: int) -> None:
        self.study = SimulatedStudy(plan, slots)

    @rule()
    def free_slots_are_filled(self) -> None:
        self.study.fill()
        if not self.study.running:
            assert all(self.study.starts[k] or self.study.results[k] for k in self.study.plan), "a run was lost"

    @precondition(lambda self: self.study.running)
    @rule(data=st.data())
    def an_epoch_is_logged(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.study.running))
        self.study.statuses[key] = RunStatus("running", self.study.statuses.get(key, RunStatus()).last_epoch + 1)

    @precondition(lambda self: self.study.running)
    @rule(data=st.data(), state=st.sampled_from(["finished", "diverged", "failed"]))
    def a_run_ends(self, data: st.DataObject, state: str) -> None:
        self.study.end(data.draw(st.sampled_from(self.study.running)), state)

    @rule()
    def the_process_crashes_and_restarts(self) -> None:
        self.study.crash()

    @invariant()
    def no_run_is_running_twice(self) -> None:
        if hasattr(self, "study"):
            assert len(set(self.study.running)) == len(self.study.running) <= self.study.slots

    @invariant()
    def every_run_has_one_result_and_one_attempt_per_start(self) -> None:
        if hasattr(self, "study"):
            assert all(count <= 1 for count in self.study.results.values())
            assert all(count <= 1 for count in self.study.starts.values())

    def teardown(self) -> None:
        """Whatever happened before, a start without failures ends with one result per run."""
        if hasattr(self, "study"):
            self.study.crash()
            self.study.fill()
            while self.study.running:
                self.study.end(self.study.running[-1], "finished")
                self.study.fill()
            assert self.study.results == Counter(set(self.study.plan))
            assert decide(self.study.plan, self.study.statuses, [], self.study.attempted) == Decision("done")


AnyStudy.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestAnyStudy = AnyStudy.TestCase


def test_one_broken_run_does_not_block_the_others() -> None:
    study = SimulatedStudy(["a", "broken", "c"], slots=1)
    for _ in range(2):
        study.crash()
        study.fill()
        while study.running:
            (key,) = study.running
            study.end(key, "failed" if key == "broken" else "finished")
            study.fill()
        assert study.starts["broken"] == 1
    assert study.results == Counter(["a", "c"])
