"""Executes runs that several workers share. Each run has a group of Ray Train workers, started for it alone.

A group is never stopped from outside: its training loop ends by the replies to its messages. If a worker is lost, its
group ends, and another group resumes from the run's checkpoint.
"""

import signal
import time
from contextlib import suppress
from pathlib import Path

import ray

from nowt.cluster.ray_internals import TRAIN_SETTINGS
from nowt.config.placement import Placement
from nowt.core.formatting import counted
from nowt.execution.job import Job
from nowt.execution.local import WAIT, interruptible
from nowt.execution.ray_lifecycle import check_gpus, connected_ray, connection_lost, scratch_folder
from nowt.execution.ray_train.worker_group import WorkerGroup, gpus_per_worker
from nowt.execution.scheduler import Message, Scheduler, forward_message


def run(scheduler: Scheduler, placement: Placement, study: str, slots: int) -> bool:
    """Execute what ``scheduler`` decides, ``slots`` runs at a time. Return False if the user interrupted it: with one
    Ctrl-C or SIGTERM, after the current batch.

    Raises ConfigError if this machine has too few GPUs for a run, ConnectionError if Ray itself is lost.
    """
    try:
        return _run(scheduler, placement, study, slots)
    except ray.exceptions.RayError as error:
        raise connection_lost(error) from error


def _run(scheduler: Scheduler, placement: Placement, study: str, slots: int) -> bool:
    cores = slots * placement.max_workers * placement.threads
    place = Path(placement.store).resolve() / ".train" / study
    with interruptible() as interrupts, connected_ray(cores, TRAIN_SETTINGS), scratch_folder(place) as folder:
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # ray.init replaced the handler
        fewest = placement.min_workers
        check_gpus(
            fewest * gpus_per_worker(placement),
            f"{counted(fewest, 'worker')} need{'s' * (fewest == 1)}",
            "fewer --workers, a smaller --gpus-per-worker",
        )
        groups: list[WorkerGroup] = []
        try:
            while True:
                _start_runs(groups, scheduler, placement, folder, 0 if interrupts else slots)
                if not groups and (interrupts or scheduler.done):
                    return not interrupts
                _forward_messages(groups, scheduler, bool(interrupts))
        finally:
            for group in groups:
                with suppress(ray.exceptions.RayError):
                    group.abort()


def _start_runs(
    groups: list[WorkerGroup], scheduler: Scheduler, placement: Placement, folder: Path, slots: int
) -> None:
    """Start runs while there are free slots and runs to start."""
    while len(groups) < slots and (decision := scheduler.decide()).do == "start":
        planned = scheduler.begin(decision.key)
        groups.append(WorkerGroup(Job.of(planned, placement), folder))


def _forward_messages(groups: list[WorkerGroup], scheduler: Scheduler, interrupted: bool) -> None:
    """Wait a moment for messages, forward them, and close the groups that have ended."""
    if not groups:  # another study is running the remaining runs
        return time.sleep(WAIT)
    if interrupted:
        for group in groups:
            group.stop()
    else:
        any(group.grow() for group in groups)  # only the first that could be larger: groups must not compete
    ready, _ = ray.wait([group.next_message for group in groups], num_returns=len(groups), timeout=WAIT / 5)
    sending = [group for group in groups if group.next_message in ready]
    for group in sending:
        message: Message = ray.get(group.next_message)
        group.reply(message, forward_message(scheduler, group.job.key, message))
    for group in [group for group in groups if group not in sending and not group.thread.is_alive()]:
        groups.remove(group)
        group.close()
        if not group.is_over:
            scheduler.mark_failed(group.job.key, group.problem or "all workers exited without reporting a result")
