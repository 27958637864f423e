"""The queue of a study's runs: what it logs, reports and resumes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.tables import run_page, runs_table
from nowt.config.run_config import DataConfig, OptimConfig, RunConfig
from nowt.core.errors import ConfigError
from nowt.execution.notices import ChangesReporter
from nowt.execution.preparation import plan_run, plan_seeds, start_facts, versions
from nowt.execution.run_queue import RunQueue
from nowt.execution.scheduler import Decision, PlannedRun, RunStatus
from nowt.rules.backprop import Backprop
from nowt.rules.weight_mirror import WeightMirror
from nowt.store.outcome import run_warnings
from nowt.store.records import Epoch, Layer, RunLog, epoch_to_json
from nowt.store.run_log import read
from nowt.tracking.refresh import rebuild
from tests.support.forked_children import exit_code_of_child


def planned(keys: list[str]) -> tuple[PlannedRun, ...]:
    data = {"fingerprint": "f", "classes": 10, "skipped": []}
    configs = [RunConfig(data=DataConfig(), seed=seed) for seed in range(len(keys))]
    runs = zip(keys, configs, strict=True)
    return tuple(PlannedRun(key, "cell", config.seed, config, start_facts(config, data)) for key, config in runs)


def epoch_message(epoch: int) -> dict[str, object]:
    numbers = epoch_to_json(Epoch(epoch, epoch, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 0, 0, 0.0, 0.0, 0.0))
    return {"kind": "epoch", "epoch": numbers}


A, B = "a" * 12, "b" * 12  # keys of runs

START = {"kind": "start"}

FINISHED = {"kind": "end", "state": "finished", "reason": ""}


def test_a_queue_restarted_after_a_crash_continues_from_the_logs(tmp_path: Path) -> None:
    plan = planned(["a", "b", "c", "d"])
    queue = RunQueue(tmp_path, plan)
    for key in ("a", "b", "c"):
        assert queue.decide() == Decision("start", key)
        queue.begin(key)
        queue.receive(key, START)
    for message in (epoch_message(0), epoch_message(1), FINISHED):
        queue.receive("a", message)
    queue.receive("c", epoch_message(0))
    queue.mark_failed("b", "the worker is gone")
    queue = RunQueue(tmp_path, plan)  # only the logs are left
    assert queue.statuses == {"a": RunStatus("finished", 1), "b": RunStatus("failed", -1), "c": RunStatus("running", 0)}
    started = []
    while (decision := queue.decide()).do == "start":
        started.append(decision.key)
        queue.begin(decision.key)
        for message in (START, epoch_message(0), epoch_message(1), FINISHED):
            queue.receive(decision.key, message)
    assert (started, decision.do) == (["c", "b", "d"], "done")
    for key in ("a", "b", "c", "d"):
        run = read(tmp_path / "logs" / f"{key}.jsonl")
        assert ([epoch.epoch for epoch in run.epochs], run.state) == ([0, 1], "finished")
        assert run.attempts == (2 if key in "bc" else 1)


def test_messages_of_runs_that_are_not_running_are_not_logged(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path, planned(["a", "b"]))
    queue.begin("a")
    for message in (START, epoch_message(0), FINISHED, epoch_message(1), FINISHED):
        queue.receive("a", message)
    queue.mark_failed("a", "too late")
    queue.receive("b", epoch_message(0))
    run = read(tmp_path / "logs" / "a.jsonl")
    assert (run.state, run.last_epoch) == ("finished", 0)
    assert not (tmp_path / "logs" / "b.jsonl").exists()
    assert queue.decide() == Decision("start", "b")


def test_a_run_whose_worker_dies_before_its_first_message_is_listed(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path, planned([A, B]))
    queue.begin(A)
    queue.begin(B)
    queue.mark_failed(B, "the run's worker died 4 times")
    rows = [row.split() for row in runs_table(tmp_path, rule=None, state=None, study=None).splitlines()[1:]]
    shown = [(row[0], row[1], row[4], row[-1]) for row in rows]
    assert shown == [(A, "bp", "0", "running"), (B, "bp", "1", "failed")]
    assert f"run {B}: failed the run's worker died 4 times" in run_page(tmp_path, B)
    assert rebuild(tmp_path) == 2
    queue = RunQueue(tmp_path, planned([A, B]))
    queue.begin(B)
    for message in (START, epoch_message(0), FINISHED):
        queue.receive(B, message)
    run = read(tmp_path / "logs" / f"{B}.jsonl")
    assert (run.state, run.attempts, run.start["fingerprint"]) == ("finished", 2, "f")


def test_a_run_restarted_on_another_worker_has_one_more_attempt(tmp_path: Path) -> None:
    attempts: list[int] = []
    queue = RunQueue(tmp_path, planned(["a"]), lambda planned, run: attempts.append(run.attempts))
    queue.begin("a")
    for message in (
        START,
        epoch_message(0),
        START,
        epoch_message(0),
        epoch_message(1),
        START,
        FINISHED,
    ):  # it repeats epochs that its checkpoint has
        queue.receive("a", message)
    assert attempts == [1, 1, 2, 2, 3, 3]
    log = [json.loads(line) for line in (tmp_path / "logs" / "a.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in log] == ["start", "epoch", "resume", "epoch", "resume", "end"]
    assert [(line["attempt"], line["epoch"]) for line in log if line["kind"] == "resume"] == [(2, 0), (3, 1)]
    assert read(tmp_path / "logs" / "a.jsonl").attempts == 3


def test_a_resumed_run_counts_its_new_workers_as_attempts(tmp_path: Path) -> None:
    for _ in range(2):
        queue = RunQueue(tmp_path, planned(["a"]))
        queue.begin("a")
        for message in (START, START):
            queue.receive("a", message)
    assert read(tmp_path / "logs" / "a.jsonl").attempts == 4


def test_updates_are_reported_after_they_are_logged(tmp_path: Path) -> None:
    def on_update(planned: PlannedRun, run: object) -> None:
        assert repr(read(tmp_path / "logs" / f"{planned.key}.jsonl")) == repr(run)
        reported.append(planned.key)

    reported: list[str] = []
    queue = RunQueue(tmp_path, planned(["a"]), on_update)
    queue.begin("a")
    for message in (START, epoch_message(0), epoch_message(1), FINISHED):
        queue.receive("a", message)
    assert reported == ["a"] * 4
    RunQueue(tmp_path, planned(["a"]), on_update).load_results()
    assert reported == ["a"] * 5


def test_a_run_that_two_studies_share_is_trained_once(tmp_path: Path) -> None:
    states: list[str] = []
    first = RunQueue(tmp_path, planned(["a", "b"]))
    second = RunQueue(tmp_path, planned(["a"]), lambda planned, run: states.append(run.state))
    first.begin("a")
    first.receive("a", START)
    assert second.decide() == Decision("wait")
    for message in (epoch_message(0), FINISHED):
        first.receive("a", message)
    assert second.decide() == Decision("done") and states == ["finished"]
    assert read(tmp_path / "logs" / "a.jsonl").attempts == 1


def resumed_with(store: Path, **changed: object) -> RunLog:
    """A run that was begun, and resumed by a queue whose plan has these other facts."""
    [first] = planned([A])
    queue = RunQueue(store, (first,))
    queue.begin(A)
    queue.receive(A, epoch_message(0))
    queue.release()
    again = replace(first, start={**first.start, **changed})
    RunQueue(store, (again,)).begin(A)
    return read(store / "logs" / f"{A}.jsonl")


def test_asking_whether_a_study_is_done_locks_no_run_and_writes_nothing(tmp_path: Path) -> None:
    queue, other = RunQueue(tmp_path, planned([A, B])), RunQueue(tmp_path, planned([A, B]))
    assert not queue.done
    assert not (tmp_path / "logs").exists()
    assert other.decide() == Decision("start", A)  # so queue has not locked it
    assert not other.done and not (tmp_path / "logs" / f"{B}.jsonl").exists()


def test_a_study_whose_last_run_another_study_finishes_is_done(tmp_path: Path) -> None:
    queue, other = RunQueue(tmp_path, planned([A])), RunQueue(tmp_path, planned([A]))
    other.begin(A)
    assert queue.decide() == Decision("wait") and not queue.done
    for message in (START, epoch_message(0), FINISHED):
        other.receive(A, message)
    assert queue.done and queue.statuses == {}
    assert queue.decide() == Decision("done") and queue.statuses[A].state == "finished"


def test_a_resumed_run_records_the_versions_and_the_commit_that_differ(tmp_path: Path) -> None:
    [first] = planned([A])
    versions = {**first.start["versions"], "torch": "9.9", "timm": "1.0"}
    run = resumed_with(tmp_path, versions=versions, git={"commit": "a" * 40, "dirty": False})
    commit = first.start["git"]["commit"][:12] or "none"
    assert run.attempts == 2
    assert run.spans[1].changed["versions"] == {"torch": "9.9", "timm": "1.0"}
    [line] = run.changes
    assert line.startswith(f"attempt 2 (after epoch 0): commit aaaaaaaaaaaa instead of {commit}")
    assert f"torch 9.9 instead of {first.start['versions']['torch']}, timm 1.0 instead of none" in line
    assert line in run_page(tmp_path, A)


def test_every_package_that_decides_the_numbers_is_recorded() -> None:
    """Pillow decodes the images."""
    assert {"torch", "numpy", "pillow"} <= versions().keys()


def test_a_resumed_run_records_nothing_if_nothing_differs(tmp_path: Path) -> None:
    run = resumed_with(tmp_path, config={"rule": {"name": "the same file in another folder"}})
    assert (run.attempts, run.changes) == (2, [])
    assert "changed" not in (tmp_path / "logs" / f"{A}.jsonl").read_text()


def test_changed_facts_are_printed_once_when_a_run_resumes(tmp_path: Path) -> None:
    run = resumed_with(tmp_path, versions={"torch": "9.9"})
    lines: list[str] = []
    reporter = ChangesReporter(lines.append)
    reporter.update(replace(run, attempts=1))  # replayed
    reporter.begun = True
    reporter.update(run)
    reporter.update(run)
    assert [line.partition("):")[0] for line in lines] == [f"run {A}, attempt 2 (after epoch 0"]


def test_the_runs_of_a_cell_are_those_that_are_planned_one_by_one() -> None:
    data = {"fingerprint": "f", "classes": 10, "skipped": []}
    for rule in (Backprop(), WeightMirror(target_angle=30.0)):
        config = RunConfig(data=DataConfig(split="by_seed"), rule=rule, optim=OptimConfig(weight_decay=0.01))

        def facts_of(config: RunConfig) -> dict[str, Any]:
            return {**data, "fingerprint": f"of seed {config.seed}"}

        seeds = (3, 0, 7)
        one_by_one = [plan_run("cell", seeded, facts_of(seeded)) for seeded in (replace(config, seed=s) for s in seeds)]
        assert plan_seeds("cell", config, seeds, facts_of) == one_by_one
        assert [list(run.start) for run in one_by_one] == [list(one_by_one[0].start)] * 3


@pytest.mark.parametrize("seed", ["1", 1.5, None, True])
def test_a_seed_that_is_no_whole_number_is_refused(seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed"):
        RunConfig().with_seed(seed)


def test_a_forked_child_begins_no_run_of_its_parents_queue(tmp_path: Path) -> None:
    queue = RunQueue(tmp_path, planned([A]))
    assert exit_code_of_child(queue.decide) == 1
    assert queue.decide() == Decision("start", A)


def test_the_queue_keeps_the_last_layers_of_an_ended_run_alone(tmp_path: Path) -> None:
    reported = list[RunLog]()
    queue = RunQueue(tmp_path, planned([A]), lambda planned, run: reported.append(run))
    queue.begin(A)
    for number in range(4):
        layers = (Layer("conv", 0, 80.0, 70.0 + number, 0.0 if number == 2 else 1.0),) if number % 2 == 0 else ()
        numbers = epoch_to_json(Epoch(number, number, 0.1, 1, 0.5, 1, 0.5, 1, 0.5, 0, 0, 0.0, 0.0, 0.0, layers))
        queue.receive(A, {"kind": "epoch", "epoch": numbers})
    assert [len(epoch.layers) for epoch in queue.logs[A].epochs] == [1, 0, 1, 0]
    queue.receive(A, FINISHED)
    assert [len(epoch.layers) for epoch in reported[-1].epochs] == [1, 0, 1, 0]
    for one in (queue, RunQueue(tmp_path, planned([A]))):
        assert [len(epoch.layers) for epoch in one.logs[A].epochs] == [0, 0, 1, 0]
        assert [epoch.val_error for epoch in one.logs[A].epochs] == [0.5] * 4
        assert run_warnings(one.logs[A]) == run_warnings(reported[-1]) != []
