"""What becomes of a run whose thread in the driver meets a bug."""

from types import SimpleNamespace
from typing import Any

import pytest

from nowt.execution.ray_train.worker_group import WorkerGroup


def test_a_bug_in_the_thread_of_a_run_becomes_the_reason_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(self: WorkerGroup) -> None:
        raise AttributeError("a mistake")

    monkeypatch.setattr(WorkerGroup, "_fit_groups", mistake)
    group: Any = object.__new__(WorkerGroup)  # without a cluster
    released: list[bool] = []
    group.elastic = SimpleNamespace(release=lambda: released.append(True))
    group._train()
    assert "in mistake" in group.problem and group.problem.endswith("AttributeError: a mistake\n")
    assert released == [True]
