"""The workers of one run as their driver sees them: one group of Ray Train's after another, until the run ends."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nowt.config.placement import Placement
from nowt.core.errors import ConfigError
from nowt.execution.job import Job
from nowt.execution.local import WAIT
from nowt.execution.ray_train.elastic import ElasticSize, room_for
from nowt.execution.ray_train.mailboxes import Mailbox, Message
from nowt.execution.ray_train.worker import share
from nowt.training.feasibility import sizes

WORKER_DEATHS = 3  # times a run goes on after a worker of it was lost, each time from its checkpoint


@dataclass(eq=False)
class WorkerGroup:
    """The workers of one run."""

    job: Job
    folder: Path
    settled: bool = False  # the run has its end, or was told to stop
    trouble: str = ""  # why the run was given up
    groups: int = 0  # started so far
    desk: Any = None  # the actor
    next: Any = None  # its next message
    growth: ElasticSize = field(init=False)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        self.growth = ElasticSize(_sizes(self.job), bundle(self.job.placement))
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.desk = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self.next = self.desk.hear.remote()
        self.thread = Thread(target=self._work, name=self.job.key, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self._fit()
        except ray.exceptions.RayError as error:
            self.trouble = f"the run's workers could not start:\n{str(error).strip()}"
        finally:
            self.growth.release()

    def _fit(self) -> None:
        """Let a group work; when it leaves, or is lost, the next one."""
        deaths = 0
        while size := self._size():
            self.growth.began(size)
            try:
                self._trainer(size).fit()
            except ray.train.TrainingFailedError as error:
                deaths += not _no_fault(error)
                if deaths > WORKER_DEATHS:
                    text = str(error).strip()
                    self.trouble = f"the run's workers were lost {deaths} times, or could not start:\n{text}"
                    return
                ray.get(self.desk.regroups.remote())
            else:
                if not ray.get(self.desk.regroups.remote()):
                    return

    def _size(self) -> int:
        """Of the next group; 0 where there is to be none."""
        self.growth.release()
        size = 0 if self.settled else room_for(self.growth.sizes, self.growth.each, lambda: self.settled)
        return 0 if self.settled else size

    def _trainer(self, size: int) -> TorchTrainer:
        place = self.job.placement
        gpus = gpus_each(place)
        self.groups += 1
        return TorchTrainer(
            share,
            train_loop_config={"job": self.job.to_text(), "desk": self.desk},
            scaling_config=ray.train.ScalingConfig(
                num_workers=size, use_gpu=gpus > 0, resources_per_worker=bundle(place)
            ),
            torch_config=TorchConfig(backend=_backend(gpus)),
            run_config=ray.train.RunConfig(
                name=f"{self.job.key}-{self.groups}",
                storage_path=str(self.folder),
                # the next group is started here: of what size, and whether there is a fault in it, Ray cannot tell
                failure_config=ray.train.FailureConfig(
                    max_preemption_failures=0, controller_failure_limit=0 if len(self.growth.sizes) > 1 else -1
                ),
            ),
        )

    def answer(self, message: Message, goes_on: bool) -> None:
        """Answer the message that was heard, and listen for the next one."""
        self.settled = self.settled or message["kind"] == "end" or not goes_on
        ray.get(self.desk.answer.remote(goes_on))
        self.next = self.desk.hear.remote()

    def grow(self) -> bool:
        """Let a larger group go on if there is room for one now; whether the run has less than it could have."""
        if self.growth.possible():
            self.desk.regroup.remote()
        return self.growth.size < self.growth.sizes[-1]

    def stop(self) -> None:
        """Ask the run to stop after the batch in progress, with its checkpoint written."""
        self.settled = True
        self.desk.stop.remote()

    def close(self) -> None:
        """Its last workers are gone, and with them all who would speak."""
        ray.kill(self.desk)

    def dismiss(self) -> None:
        """After an error here: let the run end, whatever it still has to say."""
        self.stop()
        while self.thread.is_alive():
            if ray.wait([self.next], timeout=WAIT)[0]:
                self.answer(ray.get(self.next), False)


def _sizes(job: Job) -> tuple[int, ...]:
    """How many workers may share the run. Where none of the numbers can, its workers say so, and it fails."""
    try:
        return sizes(job.config, job.placement.workers)
    except ConfigError:
        return (job.placement.min_workers,)


def bundle(placement: Placement) -> dict[str, float]:
    """What Ray reserves for one worker."""
    gpus = gpus_each(placement)
    return {"CPU": placement.threads, **({"GPU": gpus} if gpus else {})}


def gpus_each(placement: Placement) -> float:
    """Of each worker: what the placement says, else one where it asks for GPUs or the cluster has any."""
    if placement.device == "cpu":
        return 0
    if placement.gpus_per_worker is not None:
        return placement.gpus_per_worker
    return 1 if placement.device == "cuda" or ray.cluster_resources().get("GPU", 0) else 0


def _backend(gpus: float) -> str:
    """gloo also for workers that share a GPU, which NCCL refuses."""
    return "cpu:gloo,cuda:nccl" if gpus >= 1 else "gloo"


def _no_fault(error: Exception) -> bool:
    """Whether a node was taken away that Ray knew was to go, or the room for the group was: nothing to count."""
    if isinstance(error, ray.train.ControllerError):
        return isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)
    failures = error.worker_failures.values() if isinstance(error, ray.train.WorkerGroupError) else ()
    causes = (getattr(failure, "health_check_failure", failure) for failure in failures)
    return any(isinstance(cause, ray.exceptions.RayActorError) and cause.preempted for cause in causes)
