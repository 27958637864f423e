"""Injects a fault at a time drawn from a seed, while a run is between two epochs; otherwise the time is drawn again."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.study_process import StudyProcess

FIRST_DELAY = 5.0  # seconds after the first step, at most; halved after each study that ends without a fault

RETRY_DELAY = 0.4  # seconds between attempts, at most

ATTEMPTS = 10  # studies that may end without a fault: a lost node may never have a run on one slot

Fault = Callable[[int], object]


def inject_fault(
    study: StudyProcess,
    seed: str,
    empty: Path,
    targets: Callable[[int], list[int]],
    fault: Fault,
    must_train: bool = False,
) -> subprocess.Popen[bytes]:
    """Start the command on an empty store and apply ``fault`` once; return the driver.

    Args:
        study: The study to disturb.
        seed: Draws time and target.
        empty: An MLflow database without runs.
        targets: Returns the process ids that may be hit, from the driver's process id.
        fault: Applied to one of them.
        must_train: Only hit a process that is itself between two epochs of a run.
    """
    draws = random.Random(seed)
    for attempt in range(ATTEMPTS):
        study.reset(empty)
        driver = study.start()
        max_delay = FIRST_DELAY / 2**attempt
        if inject_once(study, draws, max_delay, driver, lambda d=driver: targets(d.pid), fault, must_train):  # type: ignore[misc]
            return driver
        assert driver.wait() == 0, study.output()
    raise AssertionError(f"{ATTEMPTS} studies ended before a fault could be injected")


def inject_once(
    study: StudyProcess,
    draws: random.Random,
    max_delay: float,
    driver: subprocess.Popen[bytes],
    targets: Callable[[], list[int]],
    fault: Fault,
    must_train: bool = False,
) -> bool:
    """Apply the fault within ``max_delay`` seconds or later; return whether the command was still running."""
    study.wait_for_first_step(driver)
    time.sleep(draws.uniform(0, max_delay))
    while driver.poll() is None:
        found = targets()
        if found and _inject(study, draws.choice(found), fault, must_train):
            return True
        time.sleep(draws.uniform(0, RETRY_DELAY))
    return False


def _inject(study: StudyProcess, target: int, fault: Fault, must_train: bool) -> bool:
    """Stop the target first, so that the state of its run does not change before the fault."""
    try:
        os.kill(target, signal.SIGSTOP)
        active = target in study.training_processes() if must_train else bool(study.training_processes())
        if active:
            fault(target)
    except ProcessLookupError:  # it has ended
        return False
    with suppress(ProcessLookupError):  # the fault may have ended it
        os.kill(target, signal.SIGCONT)
    return active


def kill(target: int) -> None:
    """SIGKILL, as from the kernel when memory runs out."""
    os.kill(target, signal.SIGKILL)


def terminate(target: int) -> None:
    """SIGTERM, as from a machine, a batch system or Kubernetes that will end the process."""
    os.kill(target, signal.SIGTERM)
