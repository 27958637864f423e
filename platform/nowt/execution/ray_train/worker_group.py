"""Driver-side handle of a run's Ray Train worker groups."""

import traceback
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nowt.cluster.ray_internals import lost_to_preemption
from nowt.config.placement import Placement
from nowt.core.errors import ConfigError
from nowt.execution.job import Job
from nowt.execution.local import WAIT
from nowt.execution.ray_train.elastic import ElasticSize, available_size
from nowt.execution.ray_train.mailboxes import Mailbox
from nowt.execution.ray_train.worker import run_worker
from nowt.execution.scheduler import Message
from nowt.training.feasibility import worker_counts

WORKER_DEATHS = 3  # times a run restarts from its checkpoint after one of its workers was lost


@dataclass(eq=False)
class WorkerGroup:
    """The worker groups of one run, started one after another until the run ends."""

    job: Job
    folder: Path
    is_over: bool = False  # the run has ended, or was asked to stop
    problem: str = ""  # why the run was given up
    started: int = 0  # groups so far
    mailbox: Any = None  # the actor
    next_message: Any = None  # the answer to the pending ``receive``
    elastic: ElasticSize = field(init=False)
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        self.elastic = ElasticSize(_sizes(self.job), resources_per_worker(self.job.placement))
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
        self.next_message = self.mailbox.receive.remote()
        self.thread = Thread(target=self._train, name=self.job.key, daemon=True)
        self.thread.start()

    def _train(self) -> None:
        try:
            self._fit_groups()
        except ray.exceptions.RayError as error:
            self.problem = f"the run's workers could not start:\n{str(error).strip()}"
        except Exception:  # a bug ends this run, with its traceback, and no other
            self.problem = traceback.format_exc()
        finally:
            self.elastic.release()

    def _fit_groups(self) -> None:
        """Train with one group; whenever it stops to regroup or is lost, start the next."""
        deaths = 0
        while size := self._next_size():
            self.elastic.group_started(size)
            try:
                self._trainer(size).fit()
            except ray.train.TrainingFailedError as error:
                deaths += not lost_to_preemption(error)
                if deaths > WORKER_DEATHS:
                    text = str(error).strip()
                    self.problem = f"the run's workers were lost {deaths} times, or could not start:\n{text}"
                    return
                ray.get(self.mailbox.take_regroup_request.remote())
            else:
                if not ray.get(self.mailbox.take_regroup_request.remote()):
                    return

    def _next_size(self) -> int:
        """Return the size of the next group; 0 if there is none."""
        self.elastic.release()
        size = (
            0
            if self.is_over
            else available_size(self.elastic.sizes, self.elastic.resources_per_worker, lambda: self.is_over)
        )
        return 0 if self.is_over else size

    def _trainer(self, size: int) -> TorchTrainer:
        placement = self.job.placement
        gpus = gpus_per_worker(placement)
        self.started += 1
        return TorchTrainer(
            run_worker,
            train_loop_config={"job": self.job.to_text(), "mailbox": self.mailbox},
            scaling_config=ray.train.ScalingConfig(
                num_workers=size, use_gpu=gpus > 0, resources_per_worker=resources_per_worker(placement)
            ),
            torch_config=TorchConfig(backend=_backend(gpus)),
            run_config=ray.train.RunConfig(
                name=f"{self.job.key}-{self.started}",
                storage_path=str(self.folder),
                # Ray does not restart a group: it knows neither the size of the next one nor whose fault a loss was
                failure_config=ray.train.FailureConfig(
                    max_preemption_failures=0, controller_failure_limit=0 if len(self.elastic.sizes) > 1 else -1
                ),
            ),
        )

    def reply(self, message: Message, proceed: bool) -> None:
        """Reply to the message received last, and wait for the next one."""
        self.is_over = self.is_over or message["kind"] == "end" or not proceed
        ray.get(self.mailbox.reply.remote(proceed))
        self.next_message = self.mailbox.receive.remote()

    def grow(self) -> bool:
        """Ask the run to continue with a larger group if resources are available. Return whether the run has fewer
        workers than it could have."""
        if self.elastic.can_grow():
            self.mailbox.regroup.remote()
        return self.elastic.size < self.elastic.sizes[-1]

    def stop(self) -> None:
        """Ask the run to write its checkpoint and stop after the current batch."""
        self.is_over = True
        self.mailbox.stop.remote()

    def close(self) -> None:
        """Remove the mailbox: the last workers are gone."""
        ray.kill(self.mailbox)

    def abort(self) -> None:
        """Let the run end after an error of the driver, and discard its messages."""
        self.stop()
        while self.thread.is_alive():
            if ray.wait([self.next_message], timeout=WAIT)[0]:
                self.reply(ray.get(self.next_message), False)


def _sizes(job: Job) -> tuple[int, ...]:
    """Return the numbers of workers that can share the run. If there are none, the workers report it and the run
    fails."""
    try:
        return worker_counts(job.config, job.placement.workers)
    except ConfigError:
        return (job.placement.min_workers,)


def resources_per_worker(placement: Placement) -> dict[str, float]:
    """Return what Ray reserves for one worker."""
    gpus = gpus_per_worker(placement)
    return {"CPU": placement.threads, **({"GPU": gpus} if gpus else {})}


def gpus_per_worker(placement: Placement) -> float:
    """Return the number of GPUs per worker. By default it is one if the placement asks for GPUs or the cluster has
    any."""
    if placement.device == "cpu":
        return 0
    if placement.gpus_per_worker is not None:
        return placement.gpus_per_worker
    return 1 if placement.device == "cuda" or ray.cluster_resources().get("GPU", 0) else 0


def _backend(gpus: float) -> str:
    """Return the communication backend: gloo also for workers that share a GPU, because NCCL does not support that."""
    return "cpu:gloo,cuda:nccl" if gpus >= 1 else "gloo"
