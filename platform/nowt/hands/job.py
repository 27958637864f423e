"""One run as a worker gets it, and the messages it answers with."""

import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nowt.config import Placement, RunConfig, config_from_json, config_to_json
from nowt.group import ALONE, Apart, Group
from nowt.keys import run_key
from nowt.log import epoch_to_json


@dataclass(frozen=True)
class Job:
    """A run's key, config and placement."""

    key: str
    config: RunConfig
    placement: Placement

    def to_text(self) -> str:
        """The job as one JSON line, so that nothing is pickled on its way to a worker."""
        return json.dumps({"key": self.key, "config": config_to_json(self.config), "placement": asdict(self.placement)})

    @classmethod
    def from_text(cls, text: str) -> "Job":
        """The job that ``to_text`` wrote."""
        data = json.loads(text)
        return cls(data["key"], config_from_json(data["config"]), Placement(**data["placement"]))


def never() -> bool:
    """The answer of a run that nobody stops."""
    return False


def perform(job: Job, should_stop: Callable[[], bool] = never, group: Group = ALONE) -> Iterator[dict[str, Any]]:
    """Do the run, or a worker's share of it, and yield its messages: start, epochs, end. Whatever goes wrong in it
    becomes its end.

    Raises Interrupted, with the checkpoint written, after ``should_stop`` said so; and what may be the loss of another
    worker of ``group``.
    """
    yield {"kind": "start"}  # before anything can go wrong, so that every attempt is counted
    from nowt.train import Diverged, Interrupted, reset_globals, train

    try:
        from nowt.data import DataError, open_data

        reset_globals(job.config, job.placement)
        data = open_data(job.config.data, job.placement, job.config.test)
        if run_key(job.config, data.fingerprint) != job.key:
            raise DataError("pictures or rule are not those that the run was planned with: give the same command again")
        folder = Path(job.placement.store) / "checkpoints" / job.key
        for epoch in train(
            job.config, job.placement, data=data, checkpoints=folder, should_stop=should_stop, group=group
        ):
            yield {"kind": "epoch", "epoch": epoch_to_json(epoch)}
        yield {"kind": "end", "state": "finished", "reason": ""}
    except Diverged as error:
        yield {"kind": "end", "state": "diverged", "reason": str(error)}
    except Apart as error:
        yield {"kind": "end", "state": "failed", "reason": str(error)}
    except Interrupted:
        raise
    except (Exception, SystemExit) as error:  # what goes wrong in one run is its result, and must not take others along
        if group.blames(error):
            raise
        yield {"kind": "end", "state": "failed", "reason": traceback.format_exc()}
