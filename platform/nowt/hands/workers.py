"""Runs whose training several workers share: each is a group of Ray Train workers, started for it alone.

Nobody stops a group from outside: it ends by its own loop, on the word that its messages are answered with. A worker
that is lost takes its group down with it, and Ray Train starts another, which goes on from the run's checkpoint.
"""

import os
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nowt.config import Placement
from nowt.errors import require
from nowt.group import Group
from nowt.hands.cluster import joined, scratch
from nowt.hands.desk import Desk, Message
from nowt.hands.driver import Driver, hand_on
from nowt.hands.in_process import WAIT, interruptible
from nowt.hands.job import Job, perform

WORKER_DEATHS = 3  # times a run is started again after a worker of it was lost, each time from its checkpoint

ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run(driver: Driver, placement: Placement, study: str, slots: int) -> bool:
    """Do all that ``driver`` decides, ``slots`` runs at a time; False where the user interrupted (Ctrl-C once: after
    the batch in progress). Raises ConfigError where this machine has too few GPUs for a run, and ConnectionError where
    Ray itself is gone."""
    try:
        return _run(driver, placement, study, slots)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConnectionError(f"Ray is gone ({reason}); the same command goes on from the checkpoints") from error


def _run(driver: Driver, placement: Placement, study: str, slots: int) -> bool:
    cores = slots * placement.workers * placement.threads
    folder = Path(placement.store).resolve() / ".train" / study
    with interruptible() as asked, joined(cores, ENVIRONMENT), scratch(folder):
        _refuse_too_few(placement)
        crews: list[_Crew] = []
        try:
            while True:
                _fill(crews, driver, placement, folder, 0 if asked else slots)
                if not crews and (asked or driver.done):
                    return not asked
                _listen(crews, driver, bool(asked))
        finally:
            for crew in crews:
                with suppress(ray.exceptions.RayError):
                    crew.dismiss()


def _refuse_too_few(placement: Placement) -> None:
    """Ray would wait for what never comes, but on a cluster, which may grow."""
    needed, found = placement.workers * _gpus(placement), ray.cluster_resources().get("GPU", 0)
    require(
        needed <= found or "RAY_ADDRESS" in os.environ,
        f"{placement.workers} workers need {needed:g} GPUs, and this machine has {found:g}: fewer --workers, a smaller "
        "--gpus-per-worker, or --device cpu",
    )


def _fill(crews: list["_Crew"], driver: Driver, placement: Placement, folder: Path, slots: int) -> None:
    """Start runs while there are free slots and something to do."""
    while len(crews) < slots and (decision := driver.decide()).do == "start":
        planned = driver.begin(decision.key)
        crews.append(_Crew(Job(planned.key, planned.config, placement), folder))


def _listen(crews: list["_Crew"], driver: Driver, asked: bool) -> None:
    """Take in what the runs have to say, for a moment; let go of those that are over."""
    if not crews:  # another study is at the last of the runs
        return time.sleep(WAIT)
    for crew in crews if asked else ():
        crew.stop()
    heard, _ = ray.wait([crew.next for crew in crews], num_returns=len(crews), timeout=WAIT / 5)
    talking = [crew for crew in crews if crew.next in heard]
    for crew in talking:
        message: Message = ray.get(crew.next)
        crew.answer(message, hand_on(driver, crew.job.key, message))
    for crew in [crew for crew in crews if crew not in talking and not crew.thread.is_alive()]:
        crews.remove(crew)
        if not crew.settled:
            driver.lose(crew.job.key, crew.trouble or "the run's workers ended without a word")


@dataclass(eq=False)
class _Crew:
    """The workers of one run, as their driver sees them."""

    job: Job
    folder: Path
    settled: bool = False  # the run has its end, or was told to stop
    trouble: str = ""  # why Ray Train gave the run up
    desk: Any = None  # the actor
    next: Any = None  # its next message
    thread: Thread = field(init=False)

    def __post_init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.desk = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()
        self.next = self.desk.hear.remote()
        self.thread = Thread(target=self._fit, name=self.job.key, daemon=True)
        self.thread.start()

    def _fit(self) -> None:
        try:
            _trainer(self.job, self.desk, self.folder).fit()
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            text = str(error).strip()
            self.trouble = f"the run's workers were lost {WORKER_DEATHS + 1} times, or could not start:\n{text}"

    def answer(self, message: Message, goes_on: bool) -> None:
        """Answer the message that was heard, and listen for the next one."""
        ray.get(self.desk.answer.remote(goes_on))
        self.settled = self.settled or message["kind"] == "end" or not goes_on
        self.next = self.desk.hear.remote()

    def stop(self) -> None:
        """Ask the run to stop after the batch in progress, with its checkpoint written."""
        self.settled = True
        self.desk.stop.remote()

    def dismiss(self) -> None:
        """After an error here: let the run end, whatever it still has to say."""
        self.stop()
        while self.thread.is_alive():
            if ray.wait([self.next], timeout=WAIT)[0]:
                self.answer(ray.get(self.next), False)


def _trainer(job: Job, desk: Any, folder: Path) -> TorchTrainer:
    place = job.placement
    gpus = _gpus(place)
    return TorchTrainer(
        _work,
        train_loop_config={"job": job.to_text(), "desk": desk},
        scaling_config=ray.train.ScalingConfig(
            num_workers=place.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": place.threads, **({"GPU": gpus} if gpus else {})},
        ),
        torch_config=TorchConfig(backend=_backend(gpus)),
        run_config=ray.train.RunConfig(
            name=job.key,
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(max_failures=WORKER_DEATHS),
        ),
    )


def _gpus(placement: Placement) -> float:
    """Of each worker: what the placement says, else one where it asks for GPUs or the cluster has any."""
    if placement.device == "cpu":
        return 0
    if placement.gpus_per_worker is not None:
        return placement.gpus_per_worker
    return 1 if placement.device == "cuda" or ray.cluster_resources().get("GPU", 0) else 0


def _backend(gpus: float) -> str:
    """gloo also for workers that share a GPU, which NCCL refuses."""
    return "cpu:gloo,cuda:nccl" if gpus >= 1 else "gloo"


def _work(config: dict[str, Any]) -> None:
    """What each worker of a run does. Worker 0 speaks for all, but for a failure, of which the first to fail speaks."""
    from nowt.processes import Processes

    job, desk = Job.from_text(config["job"]), config["desk"]
    if ray.get(desk.over.remote()):
        return
    if job.placement.device != "cpu":
        job = replace(job, placement=replace(job.placement, device=str(get_device())))
    worker = _Worker(desk, Processes())
    try:
        worker.perform(job)
    except RuntimeError:  # of this worker's own, or since another one is gone
        if not ray.get(desk.failed_before.remote(worker.group.rank, worker.step)):
            raise
        worker.fail({"kind": "end", "state": "failed", "reason": traceback.format_exc()})


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
        from nowt.train import Interrupted

        try:
            for message in perform(job, self.should_stop, self.group):
                if message["kind"] == "remark":  # of this worker alone
                    ray.get(self.desk.tell.remote(message))
                    continue
                if message.get("state") == "failed":
                    return self.fail(message)
                goes_on = ray.get(self.desk.tell.remote(message)) if self.group.rank == 0 else True
                self.step = message.get("epoch", {"step": self.step})["step"]
                if message["kind"] == "end" or self.group.any(not goes_on)[0]:
                    return
        except Interrupted:
            return

    def fail(self, message: Message) -> None:
        """Tell of the run's failure; leave in peace where all workers come to it."""
        ray.get(self.desk.tell.remote(message))
        if not ray.get(self.desk.all_failed.remote(self.group.rank, self.group.size)):
            raise _Failed(message["reason"])

    def should_stop(self) -> bool:
        """Asked after each batch; worker 0 knows."""
        self.step += 1
        return self.group.rank == 0 and bool(ray.wait([self.stopped], timeout=0)[0])
