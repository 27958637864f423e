"""A start of a study that ends with an error leaves its runs to the next start."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nowt.config.placement import Placement
from nowt.execution import lifecycle
from nowt.execution.lifecycle import StudyExecution
from nowt.execution.run_queue import RunQueue
from nowt.execution.runner import ExecutionOptions
from nowt.execution.scheduler import Decision, PlannedRun
from nowt.store.locks import LogLock
from tests.execution.test_run_queue import planned


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
