"""Errors of Ray itself while Ray Tune executes a study: none after an interruption, otherwise one line."""

import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.tune import _setup_signal_catching

from nowt.config.placement import Placement
from nowt.core.errors import AccessError
from nowt.execution import ray_tune
from nowt.execution.run_queue import RunQueue
from tests.execution.test_run_queue import A, planned


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Tune leaves its signal handlers behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def slow_ray(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have Tune receive the signals in the list, then wait in vain for Ray to release what the study used."""
    signals: list[int] = []

    class Tuner:
        def __init__(self, *given: Any, **named: Any) -> None:
            pass

        def fit(self) -> None:
            _setup_signal_catching()
            for number in signals:
                signal.raise_signal(number)
            raise ray.exceptions.GetTimeoutError("There was timeout in removing the placement group.\nIts id is 1.")

    monkeypatch.setattr(tune, "Tuner", Tuner)
    monkeypatch.setattr(ray_tune, "connected_ray", lambda *_: nullcontext())
    monkeypatch.setattr(ray, "cluster_resources", dict)
    return signals


def run(store: Path) -> bool:
    return ray_tune.run(RunQueue(store, planned([A])), Placement(store=str(store), device="cpu"), "study-1", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_is_interrupted_although_ray_is_slow_to_release_it(
    number: int, tmp_path: Path, slow_ray: list[int]
) -> None:
    slow_ray.append(number)
    assert run(tmp_path) is False


def test_an_error_of_ray_during_a_study_is_one_line(tmp_path: Path, slow_ray: list[int]) -> None:
    with pytest.raises(
        AccessError, match=r"^lost the connection to Ray \(There was timeout .*\); run the same"
    ) as found:
        run(tmp_path)
    assert "\n" not in str(found.value)


def test_an_error_of_ray_after_the_last_run_is_none_of_the_study(
    tmp_path: Path, slow_ray: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunQueue, "done", True)
    assert run(tmp_path) is True
