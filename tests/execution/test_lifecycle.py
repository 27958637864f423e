"""A start of a study: outdated certificates are replaced, and an error leaves its runs to the next start."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nowt.config import certificate_key
from nowt.config.placement import Placement
from nowt.evaluation.certify.run import certificate_path
from nowt.execution import lifecycle
from nowt.execution.lifecycle import StudyExecution, certify_builtin_rules
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import Decision, PlannedRun
from nowt.rules.registry import find_rule
from nowt.rules.weight_mirror import WeightMirror
from nowt.store import certificates
from nowt.store.locks import LogLock
from tests.execution.test_run_queue import planned
from tests.support.forked_children import exit_code_of_child


def certified(store: Path) -> list[str]:
    """Certify backprop as a study does at its start, and return what is printed."""
    lines: list[str] = []
    certify_builtin_rules(store, [find_rule("bp")()], lines.append)
    return lines


def names(store: Path) -> set[str]:
    return {path.name for path in (store / "certificates").iterdir()}


def test_a_rule_is_certified_once_per_version(tmp_path: Path) -> None:
    assert certified(tmp_path) == []
    [name] = names(tmp_path)
    before = (tmp_path / "certificates" / name).stat().st_mtime_ns
    assert certified(tmp_path) == []
    assert (tmp_path / "certificates" / name).stat().st_mtime_ns == before


def test_settings_that_suit_dense_networks_only_do_not_stop_a_study(tmp_path: Path) -> None:
    lines: list[str] = []
    certify_builtin_rules(tmp_path, [WeightMirror(extent=1), find_rule("bp")()], lines.append)
    [line] = lines
    assert line.startswith(
        "wm is not certified, since its settings do not suit the network of certificates: rule.extent"
    )
    assert [name.split("-")[1] for name in names(tmp_path)] == ["bp"]


def test_an_upgrade_of_torch_certifies_again_and_keeps_the_former_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified(tmp_path)
    [former] = names(tmp_path)
    versions = {**certificates.certifying_versions(), "torch": "99.0"}
    for module in (certificates, certificate_key):
        monkeypatch.setattr(module, "certifying_versions", lambda: versions)
    [line] = certified(tmp_path)
    assert line.startswith(f"{former} is outdated (torch was ") and line.endswith("now 99.0): bp is certified again")
    assert names(tmp_path) == {former, certificate_path(tmp_path, find_rule("bp")()).name}
    assert len(names(tmp_path)) == 2


def test_the_certificate_of_an_earlier_version_of_nowt_is_certified_again(tmp_path: Path) -> None:
    earlier = {"rule": "bp", "fields": {}, "versions": {"nowt": "0.1.0", "torch": "2.8.0"}}
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "certificate-bp.json").write_text(json.dumps(earlier))
    assert certified(tmp_path) == [
        "certificate-bp.json is outdated (an earlier version of nowt wrote it): bp is certified again"
    ]
    assert "certificate-bp.json" in names(tmp_path) and len(names(tmp_path)) == 2


class SilentProgress:
    """Displays nothing."""

    display = nullcontext()

    def begin(self) -> None:
        pass

    def update(self, planned: PlannedRun, run: object) -> None:
        pass


@contextmanager
def no_tracking(*_: object) -> Iterator[Any]:
    yield SimpleNamespace(update=lambda *given: None)


def test_a_run_can_be_resumed_while_the_error_of_an_earlier_start_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a notebook keeps the last error, with all that its functions held."""

    def full_disk(scheduler: Any, *_: object) -> bool:
        decision: Decision = scheduler.decide()
        scheduler.begin(decision.key)
        raise OSError("the disk is full")

    monkeypatch.setattr("nowt.tracking.background.record_in_background", no_tracking)
    monkeypatch.setattr(lifecycle, "execute", full_disk)
    execution = StudyExecution("s-1", ExecutionOptions(Placement(store=str(tmp_path))), print)
    kept = None
    try:
        execution.run(RunQueue(tmp_path, planned(["a"])), SilentProgress(), slots=1)
    except OSError as error:
        kept = error
    assert kept is not None and str(kept) == "the disk is full"
    assert LogLock(tmp_path / "logs" / "a.jsonl")


def test_a_forked_child_neither_locks_nor_records_nor_runs_its_parents_study(tmp_path: Path) -> None:
    """As one that custom code forks while the study is planned, or while a search draws a trial."""
    execution = StudyExecution("x-0123abcd", ExecutionOptions(Placement(store=str(tmp_path))), print)

    def lock() -> None:
        with execution.lock():
            pass

    assert exit_code_of_child(lock) == 1
    with execution.lock():
        before = sorted(tmp_path.rglob("*"))
        assert exit_code_of_child(lambda: execution.record({}, [])) == 1
        assert exit_code_of_child(lambda: execution.run(RunQueue(tmp_path, ()), SilentProgress(), 1)) == 1
        assert sorted(tmp_path.rglob("*")) == before
