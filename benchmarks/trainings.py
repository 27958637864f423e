"""Records when the trainings of a benchmark run, in seconds of the machine's monotonic clock."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from nowt.config.run_config import RunConfig
from nowt.data import datasets
from nowt.store.records import Epoch
from nowt.training import checkpoint, loop


@dataclass(frozen=True)
class Training:
    """One training."""

    process: int
    config: str
    begin: float
    end: float
    busy: float  # in open_data and train()
    saving: float  # of that, in checkpoint.save


class TrainingTimer:
    """Replaces the functions that a training consists of, and records when they run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.real = (datasets.open_data, loop.train, checkpoint.save)
        self.begin = self.busy = self.saving = 0.0

    def open_data(self, *args: Any, **kwargs: Any) -> Any:
        """Start of a training."""
        self.begin, self.saving = time.monotonic(), 0.0
        data = self.real[0](*args, **kwargs)
        self.busy = time.monotonic() - self.begin
        return data

    def save(self, *args: Any, **kwargs: Any) -> Any:
        """A checkpoint within the training."""
        started = time.monotonic()
        path = self.real[2](*args, **kwargs)
        self.saving += time.monotonic() - started
        return path

    def train(self, config: RunConfig, *args: Any, **kwargs: Any) -> Iterator[Epoch]:
        """The training; its time counts while an epoch is computed."""
        epochs = self.real[1](config, *args, **kwargs)
        started = time.monotonic()
        for epoch in epochs:
            self.busy += time.monotonic() - started
            yield epoch
            started = time.monotonic()
        end = time.monotonic()
        self.busy += end - started
        done = Training(os.getpid(), repr(config), self.begin, end, self.busy, self.saving)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(done)) + "\n")


def timed(work: Callable[..., None], path: Path) -> Callable[..., None]:
    """Return a function that does the same as ``work`` and appends every training in it to ``path``."""

    def timed_work(given: Any) -> None:
        timer = TrainingTimer(path)
        with (
            patch.object(datasets, "open_data", timer.open_data),
            patch.object(loop, "train", timer.train),
            patch.object(checkpoint, "save", timer.save),
        ):
            work(given)

    return timed_work
