"""Runs whose training several workers share: each is a group of Ray Train workers, started for it alone.

Nobody stops a group from outside: it ends by its own loop, on the word that its messages are answered with. A worker
that is lost takes its group down with it, and another group goes on from the run's checkpoint.
"""

import signal
import time
from contextlib import suppress
from pathlib import Path

import ray

from nowt.config.placement import Placement
from nowt.execution.driver import Driver, hand_on
from nowt.execution.job import Job
from nowt.execution.local import WAIT, interruptible
from nowt.execution.ray_lifecycle import joined, refuse_missing_gpus, scratch
from nowt.execution.ray_train.mailboxes import Message
from nowt.execution.ray_train.worker_group import WorkerGroup, gpus_each

ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # each worker listens itself: to EC2, too
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run(driver: Driver, placement: Placement, study: str, slots: int) -> bool:
    """Do all that ``driver`` decides, ``slots`` runs at a time; False where it was interrupted (Ctrl-C once, or
    SIGTERM: after the batch in progress). Raises ConfigError where this machine has too few GPUs for a run, and
    ConnectionError where Ray itself is gone."""
    try:
        return _run(driver, placement, study, slots)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConnectionError(f"Ray is gone ({reason}); the same command goes on from the checkpoints") from error


def _run(driver: Driver, placement: Placement, study: str, slots: int) -> bool:
    cores = slots * placement.max_workers * placement.threads
    folder = Path(placement.store).resolve() / ".train" / study
    with interruptible() as asked, joined(cores, ENVIRONMENT), scratch(folder):
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # ray.init took it
        fewest = placement.min_workers
        refuse_missing_gpus(
            fewest * gpus_each(placement), f"{fewest} workers need", "fewer --workers, a smaller --gpus-per-worker"
        )
        crews: list[WorkerGroup] = []
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


def _fill(crews: list[WorkerGroup], driver: Driver, placement: Placement, folder: Path, slots: int) -> None:
    """Start runs while there are free slots and something to do."""
    while len(crews) < slots and (decision := driver.decide()).do == "start":
        planned = driver.begin(decision.key)
        crews.append(WorkerGroup(Job(planned.key, planned.config, placement), folder))


def _listen(crews: list[WorkerGroup], driver: Driver, asked: bool) -> None:
    """Take in what the runs have to say, for a moment; let go of those that are over."""
    if not crews:  # another study is at the last of the runs
        return time.sleep(WAIT)
    if asked:
        for crew in crews:
            crew.stop()
    else:
        any(crew.grow() for crew in crews)  # the first that could be larger: no run takes room from another
    heard, _ = ray.wait([crew.next for crew in crews], num_returns=len(crews), timeout=WAIT / 5)
    talking = [crew for crew in crews if crew.next in heard]
    for crew in talking:
        message: Message = ray.get(crew.next)
        crew.answer(message, hand_on(driver, crew.job.key, message))
    for crew in [crew for crew in crews if crew not in talking and not crew.thread.is_alive()]:
        crews.remove(crew)
        crew.close()
        if not crew.settled:
            driver.lose(crew.job.key, crew.trouble or "the run's workers ended without a word")
