"""Ctrl-C, which a terminal sends to the command and to all that it started in the foreground, between two epochs."""

import os
import random
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.faults.audit import as_undisturbed, logs
from tests.faults.cases import Make, Undisturbed, case
from tests.faults.leftovers import PATIENCE, no_process, temporary_files
from tests.faults.moments import strike, terminate
from tests.faults.world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


def press(driver: int) -> None:
    """Ctrl-C. The driver may be stopped, and hears of it when it goes on."""
    os.killpg(driver, signal.SIGINT)
    os.kill(driver, signal.SIGCONT)


@pytest.mark.selection
def test_ctrl_c_once_finishes_writing_and_the_printed_command_goes_on(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault))
    driver = strike(world, f"Ctrl-C {nth_fault}", empty, lambda driver: [driver], press)
    assert driver.wait(PATIENCE) == 130, world.said()
    assert f"run the same command again: nowt {shlex.join(world.words)}" in world.errors().splitlines()[-1]
    assert temporary_files(world.store) == []
    goes_on(world, undisturbed)


def test_ctrl_c_twice_leaves_now_and_the_same_command_goes_on(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault + 1))
    pause = random.Random(f"second Ctrl-C {nth_fault}").uniform(0, 0.5)
    once, twice = (leave(world, f"Ctrl-C twice {nth_fault}", empty, pause, presses) for presses in (1, 2))
    assert twice < once, "the second Ctrl-C waited for a run that hangs, too"
    goes_on(world, undisturbed)


def leave(world: World, seed: str, empty: Path, pause: float, presses: int) -> float:
    """Ctrl-C so many times while the runs hang, and so write nothing; seconds from the first to the command's end."""
    began = 0.0

    def hang_and_press(driver: int) -> None:
        nonlocal began
        for run in world.at_work():
            os.kill(run, signal.SIGSTOP)
        began = time.monotonic()
        press(driver)
        for _ in range(presses - 1):
            time.sleep(pause)
            press(driver)

    driver = strike(world, seed, empty, lambda driver: [driver], hang_and_press)
    assert driver.wait(PATIENCE) in (130, -signal.SIGINT), world.said()
    return time.monotonic() - began


def test_sigterm_to_the_command_alone_is_taken_as_ctrl_c(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault))
    driver = strike(world, f"SIGTERM {nth_fault}", empty, lambda driver: [driver], terminate)
    assert driver.wait(PATIENCE) == 130, world.said()
    assert temporary_files(world.store) == []
    goes_on(world, undisturbed)


def test_a_cap_ends_it_as_ctrl_c_does_and_without_it_the_same_command_goes_on(
    nth_fault: int, make: Make, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault))
    world.set_pause(2.0)  # an epoch takes 8 s: the cap falls due within the first runs, however slow Ray is to start
    assert world.run("--hours", "0.004") == 130, world.said()
    assert "stopped at its cap" in world.said()
    assert temporary_files(world.store) == []
    world.set_pause(world.pause)
    goes_on(world, undisturbed)


def goes_on(world: World, undisturbed: Undisturbed) -> None:
    """The command left in the middle of its runs; given again, it ends as if it had never been interrupted."""
    assert any(run.state == "running" for run in logs(world.store).values()), "it did not leave before the end"
    world.finish()
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder, but="Agent")
