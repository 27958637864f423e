"""Runs that two Ray Train workers share: one of them, or all, are disturbed between two epochs, and the study ends as
one that was not."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.faults.audit import as_undisturbed, logs
from tests.faults.cases import Make, Undisturbed, case
from tests.faults.leftovers import PATIENCE, WHOLE, no_process
from tests.faults.moments import Blow, kill, strike, terminate
from tests.faults.test_ctrl_c import press
from tests.faults.world import Verb, World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Shared = Callable[[int], World]


@pytest.fixture
def shared(make: Make, empty: Path) -> Shared:
    """Makes the world of one disturbed study, of runs that two workers share, by the repetition's number."""

    def made(number: int) -> World:
        verb, _, rule = case(number)
        return replace(make(verb, 1, rule), workers=2).make(empty)

    return made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path, short: Path) -> Undisturbed:
    """The store of a study of such runs that nothing disturbed."""

    @cache
    def store(verb: Verb, rule: str) -> Path:
        folder = tmp_path_factory.mktemp("undisturbed")
        world = World(folder, verb, 1, {"RAY_TMPDIR": str(short)}, pause=0.0, workers=2, rule=rule).make(empty)
        world.finish()
        return world.store

    return lambda world: store(world.verb, world.rule)


def test_a_worker_of_a_run_is_killed_and_its_run_goes_on(
    nth_kill: int, shared: Shared, empty: Path, undisturbed: Undisturbed
) -> None:
    world = shared(nth_kill)
    driver = strike(world, f"worker {nth_kill}", empty, lambda _: world.at_work(), kill, alone=True)
    assert driver.wait(WHOLE) == 0, world.said()  # nobody gives the command again
    assert max(run.attempts for run in logs(world.store).values()) == 2
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder)


def test_the_engine_of_shared_runs_is_killed_and_the_same_command_goes_on(
    nth_fault: int, shared: Shared, empty: Path, undisturbed: Undisturbed
) -> None:
    world = shared(nth_fault + 1)
    strike(world, f"engine of workers {nth_fault}", empty, lambda driver: [driver], kill).wait()
    assert any(run.state == "running" for run in logs(world.store).values()), "the kill came too late"
    world.finish()
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder, but="Agent")


@pytest.mark.parametrize("blow", [press, terminate], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_and_sigterm_reach_all_workers_of_a_run_at_the_same_batch(
    blow: Blow, nth_fault: int, shared: Shared, empty: Path, undisturbed: Undisturbed
) -> None:
    world = shared(nth_fault)
    driver = strike(world, f"Ctrl-C for workers {nth_fault}", empty, lambda driver: [driver], blow)
    assert driver.wait(PATIENCE) == 130, world.said()
    assert any(run.state == "running" for run in logs(world.store).values()), "it did not leave before the end"
    world.finish()
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder, but="Agent")
