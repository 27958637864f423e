"""Processes are killed while a run is between two epochs, and the study ends as if nothing had happened."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.audit import as_undisturbed, logs
from tests.faults.cases import Make, Undisturbed, case
from tests.faults.leftovers import WHOLE, children, no_process
from tests.faults.moments import kill, strike
from tests.faults.nodes import two_nodes
from tests.faults.world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


@pytest.mark.selection
def test_the_engine_is_killed_and_the_same_command_goes_on(
    nth_kill: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_kill + 1))
    strike(world, f"engine {nth_kill}", empty, lambda driver: [driver], kill).wait()
    assert any(run.state == "running" for run in logs(world.store).values()), "the kill came too late"
    world.finish()
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder, but="Agent")


@pytest.mark.selection
def test_a_trials_actor_is_killed_and_another_takes_its_run_up(
    nth_kill: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_kill))
    driver = strike(world, f"actor {nth_kill}", empty, lambda _: world.at_work(), kill, alone=True)
    ends_by_itself(world, driver, undisturbed)
    no_process(world.folder)


def test_the_raylet_of_a_second_node_is_killed_and_the_first_takes_its_run_up(
    nth_kill: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = replace(
        make(*case(nth_kill)), pause=0.4
    )  # or the first node would have done all before the second is awake
    with two_nodes(world) as (world, raylet):
        driver = strike(world, f"raylet {nth_kill}", empty, lambda _: raylet_at_work(world, raylet), kill)
        ends_by_itself(world, driver, undisturbed)
    no_process(world.folder)


def test_the_engine_is_killed_and_leaves_nothing_reserved_of_a_ray_that_goes_on(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    with two_nodes(make(*case(nth_fault + 1))) as (world, _):  # looks in the end whether all is free
        strike(world, f"engine beside {nth_fault}", empty, lambda driver: [driver], kill).wait()
        assert any(run.state == "running" for run in logs(world.store).values()), "the kill came too late"
        world.finish()
        as_undisturbed(world, undisturbed(world))
    no_process(world.folder)


def raylet_at_work(world: World, raylet: int) -> list[int]:
    """The raylet, where a run on its node is between two epochs."""
    return [raylet] if set(children(raylet)) & set(world.at_work()) else []


def ends_by_itself(world: World, driver: subprocess.Popen[bytes], undisturbed: Undisturbed) -> None:
    """Nobody gives the command again; some run was begun twice."""
    assert driver.wait(WHOLE) == 0, world.said()
    assert max(run.attempts for run in logs(world.store).values()) == 2
    as_undisturbed(world, undisturbed(world))
