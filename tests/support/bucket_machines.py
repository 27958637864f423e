"""Machines with their own disks that train one run and keep its checkpoints in a bucket."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from nowt.execution.job import Job, run_job
from nowt.execution.preparation import inspect_data
from nowt.store.records import epoch_from_json
from nowt.store.sync.bucket import Bucket
from nowt.training.loop import TrainingInterrupted
from tests.support.short_runs import numbers, short_run

PLACE = "s3://lab/checkpoints"

CONFIG = short_run("kp", epochs=3)

STATE, LABEL = "step-000000005.pt", "step-000000005.json"


@contextmanager
def made_bucket() -> Iterator[Bucket]:
    """An empty bucket, removed afterwards."""
    found = Bucket.from_url(PLACE)
    found.client.create_bucket(Bucket="lab")
    yield found
    found.remove(found.names(""))
    found.client.delete_bucket(Bucket="lab")
    found.client.close()


@dataclass
class Machine:
    """A machine with its own disk that trains one run, with the remarks and numbers that it reported."""

    disk: Path
    place: Placement
    config: RunConfig = CONFIG
    said: tuple[str, ...] = ()
    measured: tuple[dict[str, Any], ...] = ()
    end: str = ""

    @property
    def key(self) -> str:
        return run_key(self.config, inspect_data(self.config, self.place)["fingerprint"])

    @property
    def steps(self) -> list[str]:
        """The checkpoints on the disk."""
        return sorted(path.name for path in (self.disk / "checkpoints" / self.key).glob("*"))

    def work(self, should_stop: Callable[[], bool] = lambda: False, between: Callable[[], None] = lambda: None) -> None:
        """Train until the run ends or is stopped; ``between`` is called after each epoch."""
        try:
            for message in run_job(Job(self.key, self.config, self.place), should_stop):
                if message["kind"] == "remark":
                    self.said += (message["text"],)
                if message["kind"] == "epoch":
                    self.measured += tuple(numbers([epoch_from_json(message["epoch"])]))
                    between()
                if message["kind"] == "end":
                    self.end = message["state"] + message["reason"]
        except TrainingInterrupted:
            self.end = "stopped"


def steps(bucket: Bucket) -> list[str]:
    """The names of the objects in the bucket, without run keys."""
    return sorted(name.partition("/")[2] for name in bucket.names(""))


def pair(step: int) -> list[str]:
    return [f"step-{step:09d}.json", f"step-{step:09d}.pt"]
