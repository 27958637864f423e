"""What each worker of a shared run does: its part of the run, in step with the others."""

import traceback
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.train.torch import get_device

from nowt.core.distributed import Group
from nowt.execution.job import Job, perform
from nowt.execution.preemption import listening
from nowt.execution.ray_lifecycle import taken_away
from nowt.execution.ray_train.mailboxes import Message


def share(config: dict[str, Any]) -> None:
    """Do it. Worker 0 speaks for all, but for a failure, of which the first to fail speaks, and for a notice that the
    worker's machine is to go."""
    from nowt.core.distributed import ProcessGroup

    job, desk = Job.from_text(config["job"]), config["desk"]
    if ray.get(desk.over.remote()):
        return
    if job.placement.device != "cpu":
        job = replace(job, placement=replace(job.placement, device=str(get_device())))
    worker = _Worker(desk, ProcessGroup())
    with listening(*taken_away(), tell=worker.regroup):
        worker.perform(job)


class _Failed(Exception):
    """The run failed on this worker; raised for Ray Train, so that those who wait for it do not."""


class _Worker:
    """One worker of a run, and how far it has come: ``step`` is the training's, but for batches that a checkpoint in
    mid-epoch already had."""

    def __init__(self, desk: Any, group: Group) -> None:
        self.desk = desk
        self.group = group
        self.step = 0
        self.stopped = desk.stopped.remote()

    def perform(self, job: Job) -> None:
        """Do this worker's share of the run until it ends, or is to stop."""
        try:
            self._perform(job)
        except RuntimeError:  # of this worker's own, or since another one is gone
            if not ray.get(self.desk.failed_before.remote(self.group.rank, self.step)):
                raise
            self.fail({"kind": "end", "state": "failed", "reason": traceback.format_exc()})

    def _perform(self, job: Job) -> None:
        from nowt.training.loop import TrainingInterrupted

        try:
            for message in perform(job, self.should_stop, group=self.group):
                if message["kind"] == "remark":  # of this worker alone
                    self.tell(message)
                    continue
                if message.get("state") == "failed":
                    return self.fail(message)
                goes_on = self.tell({**message, "workers": self.group.size}) if self.group.rank == 0 else True
                self.step = message.get("epoch", {"step": self.step})["step"]
                if message["kind"] == "end" or self.group.any(not goes_on)[0]:
                    return
        except TrainingInterrupted:
            return

    def tell(self, message: Message) -> bool:
        """The driver's answer to a message."""
        return bool(ray.get(self.desk.tell.remote(message)))

    def fail(self, message: Message) -> None:
        """Tell of the run's failure; leave in peace where all workers come to it."""
        self.tell(message)
        if not ray.get(self.desk.all_failed.remote(self.group.rank, self.group.size)):
            raise _Failed(message["reason"])

    def should_stop(self) -> bool:
        """Asked after each batch; worker 0 knows."""
        self.step += 1
        return self.group.rank == 0 and bool(ray.wait([self.stopped], timeout=0)[0])

    def regroup(self) -> None:
        """This worker's machine is to go: other workers are to go on."""
        with suppress(ray.exceptions.RayError):  # the study itself is gone
            ray.get(self.desk.regroup.remote())
