"""Entry point of each Ray Train worker."""

import traceback
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.train.torch import get_device

from nowt.core.distributed import Group
from nowt.execution.job import Job, run_job
from nowt.execution.preemption import watch_for_preemption
from nowt.execution.ray_lifecycle import preemption_sources
from nowt.execution.scheduler import Message


def run_worker(config: dict[str, Any]) -> None:
    """Execute this worker's share of the run.

    Worker 0 sends the messages of the run. There are two exceptions: the first worker to fail sends the failure, and
    each worker reports the preemption of its own node.
    """
    from nowt.core.distributed import ProcessGroup

    job, mailbox = Job.from_text(config["job"]), config["mailbox"]
    if ray.get(mailbox.has_ended.remote()):
        return
    if job.placement.device != "cpu":
        job = replace(job, placement=replace(job.placement, device=str(get_device())))
    worker = _Worker(mailbox, ProcessGroup())
    with watch_for_preemption(*preemption_sources(), on_notice=worker.regroup):
        worker.run(job)


class _RunFailed(Exception):
    """The run failed on this worker. Raised for Ray Train, so that waiting workers do not hang."""


class _Worker:
    """One worker of a run. ``step`` counts the batches that it has trained, without those before a checkpoint that was
    written within an epoch."""

    def __init__(self, mailbox: Any, group: Group) -> None:
        self.mailbox = mailbox
        self.group = group
        self.step = 0
        self.stopped = mailbox.wait_for_stop.remote()

    def run(self, job: Job) -> None:
        """Execute this worker's share of the run until the run ends or must stop."""
        try:
            self._run(job)
        except RuntimeError:  # this worker's own, or the consequence of losing another one
            if not ray.get(self.mailbox.failed_before.remote(self.group.rank, self.step)):
                raise
            self.fail({"kind": "end", "state": "failed", "reason": traceback.format_exc()})

    def _run(self, job: Job) -> None:
        from nowt.training.loop import TrainingInterrupted

        try:
            for message in run_job(job, self.should_stop, group=self.group):
                if message["kind"] == "remark":  # each worker has its own
                    self.send(message)
                    continue
                if message.get("state") == "failed" or message["kind"] == "not saved":
                    return self.fail(message)
                proceed = self.send({**message, "workers": self.group.size}) if self.group.rank == 0 else True
                self.step = message.get("epoch", {"step": self.step})["step"]
                if message["kind"] == "end" or self.group.any(not proceed)[0]:
                    return
        except TrainingInterrupted:
            return

    def send(self, message: Message) -> bool:
        """Send a message to the driver, and return its reply."""
        return bool(ray.get(self.mailbox.send.remote(message)))

    def fail(self, message: Message) -> None:
        """Report the failure. If all workers report it, return normally; otherwise raise, so that waiting workers do
        not hang."""
        self.send(message)
        if not ray.get(self.mailbox.all_failed.remote(self.group.rank, self.group.size)):
            raise _RunFailed(message.get("reason") or message["text"])

    def should_stop(self) -> bool:
        """Return whether the run must stop. Called after each batch; only worker 0 knows the answer."""
        self.step += 1
        return self.group.rank == 0 and bool(ray.wait([self.stopped], timeout=0)[0])

    def regroup(self) -> None:
        """Ask for other workers to continue the run, since this worker's node will be preempted."""
        with suppress(ray.exceptions.RayError):  # the study itself is gone
            ray.get(self.mailbox.regroup.remote())
