"""The time spent in training steps, without making a step wait for a GPU."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch


class StepTimer(ABC):
    """Adds up the time of training steps. ``read`` returns the seconds since its last call, and may wait."""

    excluded = 0.0  # seconds of the current step that are not counted

    @contextmanager
    def step(self) -> Iterator[None]:
        """Context manager that measures one step. A step that raises is not counted."""
        self.excluded = 0.0
        start = self._mark()
        yield
        self._add(start, self._mark())

    def exclude(self, seconds: float) -> None:
        """Leave out seconds of the current step that the program needed for a measurement.

        A GPU works through its queue meanwhile, so its timer leaves out nothing.
        """
        self.excluded += seconds

    @abstractmethod
    def read(self) -> float:
        """Return the seconds spent in steps since the last call."""

    @abstractmethod
    def _mark(self) -> Any:
        """Return the present point in time."""

    @abstractmethod
    def _add(self, start: Any, end: Any) -> None:
        """Add the time between two points."""


class ClockTimer(StepTimer):
    """For devices that finish an operation before the next line of Python: the CPU."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def read(self) -> float:
        """Return the seconds spent in steps since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def _mark(self) -> float:
        return time.perf_counter()

    def _add(self, start: float, end: float) -> None:
        self.seconds += max(0.0, end - start - self.excluded)


class EventTimer(StepTimer):
    """For a GPU, which works through a queue of operations: events in its queue mark the start and the end of a step.

    ``read`` waits for the last event, once per epoch or checkpoint. A clock would measure how long it takes to queue
    the operations, except in rules that wait for a result.

    Args:
        device: The device that trains.
        accelerator: The device's module, ``torch.cuda``, which has ``Event`` and ``current_stream``.
    """

    def __init__(self, device: torch.device, accelerator: ModuleType | Any = torch.cuda) -> None:
        self.device, self.accelerator = device, accelerator
        self.pairs: list[tuple[Any, Any]] = []

    def read(self) -> float:
        """Return the seconds that the GPU spent in steps since the last call."""
        if not self.pairs:
            return 0.0
        self.pairs[-1][1].synchronize()
        milliseconds = sum(start.elapsed_time(end) for start, end in self.pairs)
        self.pairs = []
        return float(milliseconds) / 1000

    def _mark(self) -> Any:
        event = self.accelerator.Event(enable_timing=True)
        event.record(self.accelerator.current_stream(self.device))  # by default, that of the first GPU
        return event

    def _add(self, start: Any, end: Any) -> None:
        self.pairs.append((start, end))


def make_timer(device: torch.device) -> StepTimer:
    """Return the timer for steps on ``device``."""
    return EventTimer(device) if device.type == "cuda" else ClockTimer()
