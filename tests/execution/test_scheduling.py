"""What a study does next, under any order of starts, ends, crashes and restarts."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nowt.cli.tables import run_page, runs_table
from nowt.config.run_config import DataConfig, RunConfig
from nowt.execution.driver import Decision, PlannedRun
from nowt.execution.preparation import start_facts
from nowt.execution.run_queue import RunQueue
from nowt.execution.scheduling import RunStatus, decide, unfinished
from nowt.store.records import OVER, Epoch, epoch_to_json
from nowt.store.run_log import read
from nowt.tracking.refresh import rebuild

KEYS = [f"run{i}" for i in range(6)]

plans = st.lists(st.sampled_from(KEYS), min_size=1, max_size=8)  # two cells may share a run

states = st.sampled_from(["missing", "running", "finished", "diverged", "failed"])

some_facts = st.dictionaries(st.sampled_from(KEYS), st.builds(RunStatus, states, st.integers(-1, 5)))

some_keys = st.sets(st.sampled_from(KEYS))


@given(plan=plans, facts=some_facts)
def test_what_is_left_to_do_is_every_run_without_a_result_those_half_done_first(
    plan: list[str], facts: dict[str, RunStatus]
) -> None:
    left = unfinished(plan, facts)
    assert set(left) == {key for key in plan if key not in facts or facts[key].state not in OVER}
    half_done = [key in facts and facts[key].last_epoch >= 0 for key in left]
    assert half_done == sorted(half_done, reverse=True)
    for group in (True, False):
        members = [key for key, half in zip(left, half_done, strict=True) if half is group]
        assert members == [key for key in plan if key in members]


@given(plan=plans, facts=some_facts, live=some_keys, tried=some_keys)
def test_a_decision_never_starts_what_is_over_under_way_or_tried(
    plan: list[str], facts: dict[str, RunStatus], live: set[str], tried: set[str]
) -> None:
    ready = [key for key in unfinished(plan, facts) if key not in live | tried]
    decision = decide(plan, facts, live, tried)
    if ready:
        assert decision == Decision("start", ready[0])
    else:
        assert decision == Decision("wait" if live else "done")


@given(plan=plans, facts=some_facts, live=some_keys, tried=some_keys)
def test_deciding_changes_nothing_and_decides_the_same_again(
    plan: list[str], facts: dict[str, RunStatus], live: set[str], tried: set[str]
) -> None:
    before = (list(plan), dict(facts), set(live), set(tried))
    assert decide(plan, facts, live, tried) == decide(plan, facts, frozenset(live), list(tried))
    assert (plan, facts, live, tried) == before


def test_a_study_without_runs_is_done() -> None:
    assert decide([], {}, [], []) == Decision("done")


@dataclass
class World:
    """A study as the machine sees it: what the log knows outlives a crash, the rest does not."""

    plan: list[str]
    slots: int
    facts: dict[str, RunStatus] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)
    results: Counter[str] = field(default_factory=Counter)  # times that a run came to a result
    starts: Counter[str] = field(default_factory=Counter)  # times that a run was started since the last restart

    def fill(self) -> None:
        """Start runs until no slot is free or nothing is to be started."""
        while len(self.live) < self.slots:
            decision = decide(self.plan, self.facts, self.live, self.tried)
            if decision.do != "start":
                return
            assert decision.key in self.plan
            assert decision.key not in self.live, "a run was started twice at once"
            assert self.results[decision.key] == 0, "a run that has its result was started again"
            self.live.append(decision.key)
            self.tried.add(decision.key)
            self.starts[decision.key] += 1

    def end(self, key: str, state: str) -> None:
        self.live.remove(key)
        self.facts[key] = RunStatus(state, self.facts.get(key, RunStatus()).last_epoch)  # type: ignore[arg-type]
        self.results[key] += state in OVER

    def crash(self) -> None:
        """The process is gone; the next one knows the facts alone."""
        self.live, self.tried, self.starts = [], set(), Counter()


class AnyStudy(RuleBasedStateMachine):
    """Runs start, end and fail, and the whole process crashes, in any order."""

    @initialize(plan=plans, slots=st.integers(1, 4))
    def begin(self, plan: list[str], slots: int) -> None:
        self.world = World(plan, slots)

    @rule()
    def free_slots_are_filled(self) -> None:
        self.world.fill()
        if not self.world.live:
            assert all(self.world.starts[k] or self.world.results[k] for k in self.world.plan), "a run was lost"

    @precondition(lambda self: self.world.live)
    @rule(data=st.data())
    def an_epoch_is_logged(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.world.live))
        self.world.facts[key] = RunStatus("running", self.world.facts.get(key, RunStatus()).last_epoch + 1)

    @precondition(lambda self: self.world.live)
    @rule(data=st.data(), state=st.sampled_from(["finished", "diverged", "failed"]))
    def a_run_ends(self, data: st.DataObject, state: str) -> None:
        self.world.end(data.draw(st.sampled_from(self.world.live)), state)

    @rule()
    def the_process_crashes_and_is_started_again(self) -> None:
        self.world.crash()

    @invariant()
    def no_run_is_under_way_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(set(self.world.live)) == len(self.world.live) <= self.world.slots

    @invariant()
    def every_result_is_had_once_and_every_run_tried_once_a_start(self) -> None:
        if hasattr(self, "world"):
            assert all(count <= 1 for count in self.world.results.values())
            assert all(count <= 1 for count in self.world.starts.values())

    def teardown(self) -> None:
        """Whatever happened: a start in which nothing fails ends with one result for each run."""
        if hasattr(self, "world"):
            self.world.crash()
            self.world.fill()
            while self.world.live:
                self.world.end(self.world.live[-1], "finished")
                self.world.fill()
            assert self.world.results == Counter(set(self.world.plan))
            assert decide(self.world.plan, self.world.facts, [], self.world.tried) == Decision("done")


AnyStudy.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestAnyStudy = AnyStudy.TestCase


def test_one_broken_run_does_not_keep_the_others_waiting() -> None:
    world = World(["a", "broken", "c"], slots=1)
    for _ in range(2):
        world.crash()
        world.fill()
        while world.live:
            (key,) = world.live
            world.end(key, "failed" if key == "broken" else "finished")
            world.fill()
        assert world.starts["broken"] == 1
    assert world.results == Counter(["a", "c"])


def planned(keys: list[str]) -> tuple[PlannedRun, ...]:
    pictures = {"fingerprint": "f", "classes": 10, "skipped": []}
    configs = [RunConfig(data=DataConfig(), seed=seed) for seed in range(len(keys))]
    runs = zip(keys, configs, strict=True)
    return tuple(PlannedRun(key, "cell", config.seed, config, start_facts(config, pictures)) for key, config in runs)


def said(epoch: int) -> dict[str, object]:
    numbers = epoch_to_json(Epoch(epoch, epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 0, 0, 0.0, 0.0, 0.0))
    return {"kind": "epoch", "epoch": numbers}


START = {"kind": "start"}

FINISHED = {"kind": "end", "state": "finished", "reason": ""}


def test_a_ledger_begun_again_after_a_crash_knows_what_the_logs_know(tmp_path: Path) -> None:
    plan = planned(["a", "b", "c", "d"])
    queue = RunQueue(tmp_path, plan, lambda planned, run: None)
    for key in ("a", "b", "c"):
        assert queue.decide() == Decision("start", key)
        queue.begin(key)
        queue.receive(key, START)
    for message in (said(0), said(1), FINISHED):
        queue.receive("a", message)
    queue.receive("c", said(0))
    queue.mark_failed("b", "the worker is gone")
    queue = RunQueue(tmp_path, plan, lambda planned, run: None)  # nothing but the logs is left
    assert queue.statuses == {"a": RunStatus("finished", 1), "b": RunStatus("failed", -1), "c": RunStatus("running", 0)}
    started = []
    while (decision := queue.decide()).do == "start":
        started.append(decision.key)
        queue.begin(decision.key)
        for message in (START, said(0), said(1), FINISHED):
            queue.receive(decision.key, message)
    assert (started, decision.do) == (["c", "b", "d"], "done")
    for key in ("a", "b", "c", "d"):
        run = read(tmp_path / "logs" / f"{key}.jsonl")
        assert ([epoch.epoch for epoch in run.epochs], run.state) == ([0, 1], "finished")
        assert run.attempts == (2 if key in "bc" else 1)


def test_a_message_of_a_run_that_is_over_or_was_never_begun_is_not_written(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path, planned(["a", "b"]), lambda planned, run: None)
    queue.begin("a")
    for message in (START, said(0), FINISHED, said(1), FINISHED):
        queue.receive("a", message)
    queue.mark_failed("a", "too late")
    queue.receive("b", said(0))
    run = read(tmp_path / "logs" / "a.jsonl")
    assert (run.state, run.last_epoch) == ("finished", 0)
    assert not (tmp_path / "logs" / "b.jsonl").exists()
    assert queue.decide() == Decision("start", "b")


def test_a_run_whose_worker_is_lost_before_it_says_anything_is_listed_all_the_same(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path, planned(["a", "b"]), lambda planned, run: None)
    queue.begin("a")
    queue.begin("b")
    queue.mark_failed("b", "the run's worker died 4 times")
    rows = [row.split() for row in runs_table(tmp_path, rule=None, state=None, study=None).splitlines()[1:]]
    shown = [(row[0], row[1], row[4], row[-1]) for row in rows]
    assert shown == [("a", "bp", "0", "running"), ("b", "bp", "1", "failed")]
    assert "run b: failed the run's worker died 4 times" in run_page(tmp_path, "b")
    assert rebuild(tmp_path) == 2
    queue = RunQueue(tmp_path, planned(["a", "b"]), lambda planned, run: None)
    queue.begin("b")
    for message in (START, said(0), FINISHED):
        queue.receive("b", message)
    run = read(tmp_path / "logs" / "b.jsonl")
    assert (run.state, run.attempts, run.start["fingerprint"]) == ("finished", 2, "f")


def test_a_run_that_another_worker_takes_over_counts_another_attempt(tmp_path: Path) -> None:
    attempts: list[int] = []
    queue = RunQueue(tmp_path, planned(["a"]), lambda planned, run: attempts.append(run.attempts))
    queue.begin("a")
    for message in (START, said(0), START, said(0), said(1), START, FINISHED):  # it repeats what the checkpoint knows
        queue.receive("a", message)
    assert attempts == [1, 1, 2, 2, 3, 3]
    log = [json.loads(line) for line in (tmp_path / "logs" / "a.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in log] == ["start", "epoch", "resume", "epoch", "resume", "end"]
    assert [(line["attempt"], line["epoch"]) for line in log if line["kind"] == "resume"] == [(2, 0), (3, 1)]
    assert read(tmp_path / "logs" / "a.jsonl").attempts == 3


def test_a_run_resumed_after_a_crash_counts_its_new_workers_too(tmp_path: Path) -> None:
    for _ in range(2):
        queue = RunQueue(tmp_path, planned(["a"]), lambda planned, run: None)
        queue.begin("a")
        for message in (START, START):
            queue.receive("a", message)
    assert read(tmp_path / "logs" / "a.jsonl").attempts == 4


def test_whoever_listens_hears_of_a_number_after_the_log_has_it(tmp_path: Path) -> None:
    def heard(planned: PlannedRun, run: object) -> None:
        assert repr(read(tmp_path / "logs" / f"{planned.key}.jsonl")) == repr(run)
        told.append(planned.key)

    told: list[str] = []
    queue = RunQueue(tmp_path, planned(["a"]), heard)
    queue.begin("a")
    for message in (START, said(0), said(1), FINISHED):
        queue.receive("a", message)
    assert told == ["a"] * 4
    RunQueue(tmp_path, planned(["a"]), heard).recall()
    assert told == ["a"] * 5


def test_two_studies_that_share_a_run_do_it_once(tmp_path: Path) -> None:
    heard: list[str] = []
    first = RunQueue(tmp_path, planned(["a", "b"]), lambda planned, run: None)
    second = RunQueue(tmp_path, planned(["a"]), lambda planned, run: heard.append(run.state))
    first.begin("a")
    first.receive("a", START)
    assert second.decide() == Decision("wait")
    for message in (said(0), FINISHED):
        first.receive("a", message)
    assert second.decide() == Decision("done") and heard == ["finished"]
    assert read(tmp_path / "logs" / "a.jsonl").attempts == 1
