"""What trainings a benchmark's contenders did and when, by one clock of the machine."""

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
    """One training, in seconds of the machine's monotonic clock."""

    process: int
    config: str
    begin: float
    end: float
    busy: float  # in open_data and train()
    saving: float  # of that, in checkpoint.save


class Watch:
    """Stands in for the functions that a training consists of, and writes down when they run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.real = (datasets.open_data, loop.train, checkpoint.save)
        self.begin = self.busy = self.saving = 0.0

    def open_data(self, *given: Any, **named: Any) -> Any:
        """A training begins."""
        self.begin, self.saving = time.monotonic(), 0.0
        data = self.real[0](*given, **named)
        self.busy = time.monotonic() - self.begin
        return data

    def save(self, *given: Any, **named: Any) -> Any:
        """A checkpoint, inside the training."""
        started = time.monotonic()
        path = self.real[2](*given, **named)
        self.saving += time.monotonic() - started
        return path

    def train(self, config: RunConfig, *given: Any, **named: Any) -> Iterator[Epoch]:
        """The training, whose seconds count while it is asked for an epoch."""
        epochs = self.real[1](config, *given, **named)
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


def watched(work: Callable[..., None], path: Path) -> Callable[..., None]:
    """A function that does as ``work``, and every training in it is written down in ``path``."""

    def watched_work(given: Any) -> None:
        watch = Watch(path)
        with (
            patch.object(datasets, "open_data", watch.open_data),
            patch.object(loop, "train", watch.train),
            patch.object(checkpoint, "save", watch.save),
        ):
            work(given)

    return watched_work
