"""One run as a worker gets it, and the messages it answers with."""

import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig, config_from_json, config_to_json
from nowt.config.run_key import run_key
from nowt.core.distributed import SINGLE_WORKER, Group, WorkersDiverged
from nowt.core.fields import build
from nowt.store.layout import Store
from nowt.store.records import epoch_to_json


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
        return cls(data["key"], config_from_json(data["config"]), build(Placement, data["placement"], ""))


def never() -> bool:
    """The answer of a run that nobody stops."""
    return False


def perform(
    job: Job,
    should_stop: Callable[[], bool] = never,
    should_save: Callable[[], bool] = never,
    group: Group = SINGLE_WORKER,
) -> Iterator[dict[str, Any]]:
    """Do the run, or a worker's share of it, and yield its messages: start, epochs, end, and remarks in between.
    Whatever goes wrong in it becomes its end. See ``train`` for ``should_stop`` and ``should_save``.

    Raises Interrupted, with the checkpoint written, after ``should_stop`` said so; and what may be the loss of another
    worker of ``group``.
    """
    yield {"kind": "start"}  # before anything can go wrong, so that every attempt is counted
    from nowt.training.loop import TrainingDiverged, TrainingInterrupted

    state, reason, spent, said = "failed", "", dict[str, float](), list[str]()
    try:
        yield from _epochs(job, should_stop, should_save, group, said)
        state = "finished"
    except TrainingDiverged as error:
        state, reason, spent = "diverged", str(error), error.cost
    except WorkersDiverged as error:
        reason = str(error)
    except TrainingInterrupted:
        yield from _remarks(said)
        raise
    except (Exception, SystemExit) as error:  # what goes wrong in one run is its result, and must not take others along
        if group.is_peer_failure(error):
            raise
        reason = traceback.format_exc()
    yield from _remarks(said)
    yield {"kind": "end", "state": state, "reason": reason, **({"spent": spent} if spent else {})}


def _epochs(
    job: Job, should_stop: Callable[[], bool], should_save: Callable[[], bool], group: Group, said: list[str]
) -> Iterator[dict[str, Any]]:
    from nowt.core.errors import DataError
    from nowt.data.datasets import open_data
    from nowt.execution.checkpoint_upload import carried
    from nowt.training.loop import reset_globals, train

    reset_globals(job.config, job.placement)
    data = open_data(job.config.data, job.placement, job.config.test)
    if run_key(job.config, data.fingerprint) != job.key:
        raise DataError("pictures or rule are not those that the run was planned with: give the same command again")
    folder = Store(Path(job.placement.store)).checkpoints(job.key)
    with carried(job.placement.checkpoints, folder, group, said) as courier:
        for epoch in train(
            job.config,
            job.placement,
            data=data,
            checkpoints=folder,
            should_stop=should_stop,
            should_save=should_save,
            group=group,
        ):
            yield from _remarks(said)
            yield {"kind": "epoch", "epoch": epoch_to_json(epoch)}
        if courier:
            courier.keep = 1  # a run that is over has nothing to go on from but its end


def _remarks(said: list[str]) -> Iterator[dict[str, Any]]:
    while said:
        yield {"kind": "remark", "text": said.pop(0)}
