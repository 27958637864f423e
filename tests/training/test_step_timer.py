"""Seconds of training steps: measured on the device, and without a wait within an epoch."""

from dataclasses import dataclass, field

import pytest
import torch

from nowt.training.step_timer import ClockTimer, EventTimer, make_timer


@dataclass
class FakeGpu:
    """A device that works through a queue of operations: it falls behind the program until something waits for it."""

    finished: float = 0.0  # when the last operation of the queue is finished, seconds
    waits: int = 0
    others: dict[str, "FakeGpu"] = field(default_factory=dict)  # idle ones

    def current_stream(self, device: torch.device | None = None) -> "FakeGpu":
        """Return the queue of a device; by default, that of the first one."""
        return self if str(device) == "cuda:1" else self.others.setdefault("cuda:0", FakeGpu())

    def work(self, seconds: float) -> None:
        self.finished += seconds

    def Event(self, enable_timing: bool) -> "FakeEvent":
        assert enable_timing
        return FakeEvent(self)


@dataclass
class FakeEvent:
    gpu: FakeGpu
    at: float = -1.0

    def record(self, stream: FakeGpu | None = None) -> None:
        self.at = (stream or self.gpu.current_stream()).finished

    def synchronize(self) -> None:
        assert self.at >= 0
        self.gpu.waits += 1

    def elapsed_time(self, end: "FakeEvent") -> float:
        assert self.gpu.waits, "an event can be read only when it is known to be finished"
        return 1000 * (end.at - self.at)


def test_steps_on_a_gpu_are_measured_by_its_own_clock_and_wait_once_per_reading() -> None:
    gpu = FakeGpu()
    timer = EventTimer(torch.device("cuda", 1), gpu)
    for _ in range(5):
        with timer.step():
            gpu.work(0.25)
        gpu.work(10.0)  # between steps, such as loading images
    assert gpu.waits == 0
    assert timer.read() == pytest.approx(5 * 0.25) and gpu.waits == 1
    assert timer.read() == 0.0 and gpu.waits == 1
    with timer.step():
        gpu.work(1.0)
    assert timer.read() == pytest.approx(1.0)


def test_a_step_that_fails_is_not_counted() -> None:
    gpu = FakeGpu()
    timer = EventTimer(torch.device("cuda", 1), gpu)
    with pytest.raises(RuntimeError), timer.step():
        raise RuntimeError
    assert timer.read() == 0.0


def test_the_cpu_is_measured_by_the_clock_and_a_gpu_by_events(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_timer(torch.device("cpu")), ClockTimer)
    assert isinstance(make_timer(torch.device("cuda", 0)), EventTimer)
    times = iter([1.0, 1.5, 7.0, 7.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    timer = ClockTimer()
    for _ in range(2):
        with timer.step():
            pass
    assert timer.read() == 0.75 and timer.read() == 0.0


def test_excluded_seconds_are_those_of_one_step_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 4.0, 5.0, 6.0, 7.0, 9.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    timer = ClockTimer()
    for excluded in (2.0, 0.0, 3.0):
        with timer.step():
            timer.exclude(excluded)
    assert timer.read() == 1.0 + 1.0 + 0.0


def test_a_gpu_that_works_through_its_queue_excludes_nothing() -> None:
    gpu = FakeGpu()
    timer = EventTimer(torch.device("cuda", 1), gpu)
    with timer.step():
        gpu.work(1.0)
        timer.exclude(0.5)
    assert timer.read() == pytest.approx(1.0)
