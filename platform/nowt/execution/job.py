"""Job, the description of a run sent to a worker, and the messages it returns."""

import json
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig, config_from_json, config_to_json
from nowt.config.run_key import code_identity, run_key
from nowt.core.distributed import SINGLE_WORKER, Group, WorkersDiverged, never
from nowt.core.errors import DataError, UserError, access_problem
from nowt.core.exits import NO_FAILURES, describe_exit
from nowt.core.fields import build_dataclass
from nowt.core.forked_children import ForkGuard
from nowt.core.free_memory import return_free_memory
from nowt.core.output import open_missing_streams, print_any_character
from nowt.core.plugins import split_spec
from nowt.execution.scheduler import Message, PlannedRun
from nowt.store.audits import Audit, audit_to_json
from nowt.store.layout import Store
from nowt.store.records import TRANSPORT_DETECTED, epoch_to_json


@dataclass(frozen=True)
class Job:
    """The key, config and placement of a run, and what identified its images and code when it was planned."""

    key: str
    config: RunConfig
    placement: Placement
    identity: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, planned: PlannedRun, placement: Placement) -> "Job":
        """Return the job of a planned run."""
        identity = {"images": planned.start.get("fingerprint"), **planned.start.get("code", {})}
        return cls(planned.key, planned.config, placement, identity)

    def changes(self, fingerprint: str) -> str:
        """Return what has changed since the run was planned, as the beginning of a sentence."""
        now = {"images": fingerprint, **code_identity(self.config)}
        names = {
            "images": "the images",
            "rule": f"rule {self.config.rule.source or self.config.rule.name}",
            "model": f"model {self.config.model.name}",
            "loop": "nowt",
        }
        found = [name for part, name in names.items() if part in self.identity and self.identity[part] != now[part]]
        text = " and ".join(found) or "the images, the rule, the model or nowt"
        return f"{text} {'have' if len(found) > 1 or text.startswith('the images') else 'has'} changed"

    def to_text(self) -> str:
        """Return the job as JSON, so that nothing is pickled on the way to a worker."""
        parts = {"config": config_to_json(self.config), "placement": asdict(self.placement)}
        return json.dumps({"key": self.key, "identity": self.identity, "folder": os.getcwd(), **parts})

    @classmethod
    def from_text(cls, text: str) -> "Job":
        """Return the job that ``to_text`` wrote."""
        data = json.loads(text)
        config = config_from_json(_found_here(data["config"], Path(data["folder"])))
        places = {name: _place_here(data["placement"][name], Path(data["folder"])) for name in ("store", "data")}
        placement = build_dataclass(Placement, {**data["placement"], **places}, "")
        return cls(data["key"], config, placement, data["identity"])


def _found_here(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the config with the custom files that this machine has in its own copy of the driver's working folder, as
    under ``ray job submit --working-dir``. The run's key shows whether they are the same files."""
    found = dict(config)
    for part in ("rule", "model"):
        place, colon, name = split_spec(config[part]["name"])
        file = Path(place)
        if place.endswith(".py") and not file.is_file() and file.is_relative_to(folder):
            inner = place.removeprefix(f"{folder}/") if place.startswith(f"{folder}/") else file.relative_to(folder)
            found[part] = {**config[part], "name": f"{Path.cwd()}/{inner}{colon}{name}"}
    return found


def _place_here(place: str, folder: Path) -> str:
    """Return a path in the driver's working folder as one in the worker's, on a machine that has not the former."""
    if folder.is_dir() or not Path(place).is_relative_to(folder):
        return place
    return str(Path.cwd() / Path(place).relative_to(folder))


@dataclass
class Notes:
    """What a run reports between its epochs."""

    remarks: list[str] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)

    def messages(self) -> Iterator[Message]:
        """Yield everything as messages, and forget it."""
        while self.remarks:
            yield {"kind": "remark", "text": self.remarks.pop(0)}
        while self.audits:
            yield {"kind": "audit", "audit": audit_to_json(self.audits.pop(0))}


def run_job(
    job: Job,
    should_stop: Callable[[], bool] = never,
    should_save: Callable[[], bool] = never,
    group: Group = SINGLE_WORKER,
) -> Iterator[Message]:
    """Execute the run, or one worker's share of it, and yield its messages: start, epochs, end, and audited steps and
    remarks in between.

    An exception in the run becomes its end message; of a checkpoint that cannot be saved, a message that stops the
    study. See ``train`` for ``should_stop`` and ``should_save``.

    Raises:
        TrainingInterrupted: ``should_stop`` returned True. The checkpoint is written.
        Exception: Any error that ``group.is_peer_failure`` attributes to a lost worker; re-raised.
    """
    try:
        yield from _messages(job, should_stop, should_save, group)
    finally:  # the run's tensors are freed by now
        return_free_memory()


def _messages(
    job: Job, should_stop: Callable[[], bool], should_save: Callable[[], bool], group: Group
) -> Iterator[Message]:
    open_missing_streams()
    print_any_character()  # in this process, which may be another than the one that prints the messages
    yield {"kind": "start"}  # before anything can go wrong, so that every attempt is counted
    from nowt.training.audit import TransportDetected
    from nowt.training.checkpoint import CheckpointNotSaved
    from nowt.training.loop import TrainingDiverged, TrainingInterrupted

    state, reason, spent, notes = "failed", "", dict[str, float](), Notes()
    try:
        yield from _epochs(job, should_stop, should_save, group, notes)
        state = "finished"
    except CheckpointNotSaved as error:  # the run can be resumed, and no other run can save its checkpoints either
        yield from notes.messages()
        yield {"kind": "not saved", "text": str(error)}
        return
    except TrainingDiverged as error:
        state, reason, spent = "diverged", str(error), error.cost
    except TransportDetected as error:
        state, reason = TRANSPORT_DETECTED, str(error)
    except (WorkersDiverged, UserError) as error:  # the fault is not in the code: the message is enough
        reason = str(error)
    except TrainingInterrupted:
        yield from notes.messages()
        raise
    except SystemExit as error:
        reason = describe_exit(error) or traceback.format_exc()
    except NO_FAILURES:
        raise
    except BaseException as error:  # the failure of one run is its result, and must not affect other runs
        if group.is_peer_failure(error):
            raise
        problem = access_problem(error) if isinstance(error, OSError) else ""
        reason = problem or traceback.format_exc()
    yield from notes.messages()
    yield {"kind": "end", "state": state, "reason": reason, **({"spent": spent} if spent else {})}


def _epochs(
    job: Job, should_stop: Callable[[], bool], should_save: Callable[[], bool], group: Group, notes: Notes
) -> Iterator[Message]:
    from nowt.data.datasets import RunData
    from nowt.execution.checkpoint_upload import sync_checkpoints
    from nowt.training.device import reset_globals
    from nowt.training.loop import train

    reset_globals(job.config, job.placement)
    data = RunData.of(job.config).open(job.placement)
    if run_key(job.config, data.fingerprint) != job.key:
        raise DataError(f"{job.changes(data.fingerprint)} since this run was planned; run the same command again")
    folder = Store(Path(job.placement.store)).checkpoints(job.key)
    guard = ForkGuard()
    with sync_checkpoints(job.placement.checkpoints, folder, group, notes.remarks) as uploader, guard:
        for epoch in train(
            job.config,
            job.placement,
            data=data,
            checkpoints=folder,
            should_stop=guard.before(should_stop),
            should_save=should_save,
            on_audit=notes.audits.append,
            group=group,
        ):
            guard.check()
            yield from notes.messages()
            yield {"kind": "epoch", "epoch": epoch_to_json(epoch)}
        if uploader:
            uploader.keep = 1  # a complete run resumes from its last checkpoint only
