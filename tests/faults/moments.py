"""Strikes at times drawn from a seed, and only while a run is between two epochs; else the time is drawn again."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.world import World

SPAN = 5.0  # seconds from the first step within which the first blow is drawn; half as many after a study unhit

PAUSE = 0.4  # and from a miss within which the next is

TRIES = 10  # studies that may end unhit: one slot may never be of the node that is to be lost

Blow = Callable[[int], object]


def strike(
    world: World, seed: str, empty: Path, victims: Callable[[int], list[int]], blow: Blow, alone: bool = False
) -> subprocess.Popen[bytes]:
    """Start the command on an empty store and let ``blow`` fall once on one of ``victims`` (of the driver's process id:
    process ids); the driver. ``alone``: the victim must itself be at a run, not another process for it."""
    draws = random.Random(seed)
    for study in range(TRIES):
        world.make(empty)
        driver = world.start()
        span = SPAN / 2**study
        if strike_once(world, draws, span, driver, lambda d=driver: victims(d.pid), blow, alone):  # type: ignore[misc]
            return driver
        assert driver.wait() == 0, world.said()
    raise AssertionError(f"{TRIES} studies ended before a blow hit a run between two epochs")


def strike_once(
    world: World,
    draws: random.Random,
    span: float,
    driver: subprocess.Popen[bytes],
    victims: Callable[[], list[int]],
    blow: Blow,
    alone: bool = False,
) -> bool:
    """Whether the blow, drawn within ``span`` seconds, fell before the command ended."""
    world.wait_for_work(driver)
    time.sleep(draws.uniform(0, span))
    while driver.poll() is None:
        found = victims()
        if found and _hit(world, draws.choice(found), blow, alone):
            return True
        time.sleep(draws.uniform(0, PAUSE))
    return False


def _hit(world: World, victim: int, blow: Blow, alone: bool) -> bool:
    """Stop the victim, so that what is seen then is still true when the blow falls."""
    try:
        os.kill(victim, signal.SIGSTOP)
        hit = victim in world.at_work() if alone else bool(world.at_work())
        if hit:
            blow(victim)
    except ProcessLookupError:  # it ended by itself
        return False
    with suppress(ProcessLookupError):  # what was killed may be gone by now
        os.kill(victim, signal.SIGCONT)
    return hit


def kill(victim: int) -> None:
    """As the kernel does it when memory runs out."""
    os.kill(victim, signal.SIGKILL)


def terminate(victim: int) -> None:
    """As a machine, a batch system or Kubernetes does it before it ends a process for good."""
    os.kill(victim, signal.SIGTERM)
