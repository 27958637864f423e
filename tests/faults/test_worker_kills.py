"""Runs that two Ray Train workers share: one of them, or all, are disturbed between two epochs, and the study ends as
one that was not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from audit import as_undisturbed, logs
from cases import Make, case
from leftovers import PATIENCE, no_process
from moments import Blow, kill, strike, terminate
from test_ctrl_c import press
from world import Verb, World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Shared = Callable[[Verb], World]


@pytest.fixture
def shared(make: Make, empty: Path) -> Shared:
    """Makes the world of one disturbed study, of runs that two workers share."""
    return lambda verb: replace(make(verb, 1), workers=2).make(empty)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path, short: Path) -> Callable[[Verb], Path]:
    """The store of a study of such runs that nothing disturbed."""
    stores: dict[Verb, Path] = {}

    def store(verb: Verb) -> Path:
        if verb not in stores:
            folder = tmp_path_factory.mktemp("undisturbed")
            world = World(folder, verb, 1, {"RAY_TMPDIR": str(short)}, workers=2).make(empty)
            world.finish()
            stores[verb] = world.store
        return stores[verb]

    return store


def test_a_worker_of_a_run_is_killed_and_its_run_goes_on(
    nth_kill: int, shared: Shared, empty: Path, undisturbed: Callable[[Verb], Path]
) -> None:
    world = shared(case(nth_kill)[0])
    driver = strike(world, f"worker {nth_kill}", empty, lambda _: world.at_work(), kill, alone=True)
    assert driver.wait(PATIENCE) == 0, world.said()  # nobody gives the command again
    assert max(run.attempts for run in logs(world.store).values()) == 2
    as_undisturbed(world, undisturbed(world.verb))
    no_process(world.folder)


def test_the_engine_of_shared_runs_is_killed_and_the_same_command_goes_on(
    nth_fault: int, shared: Shared, empty: Path, undisturbed: Callable[[Verb], Path]
) -> None:
    world = shared(case(nth_fault + 1)[0])
    strike(world, f"engine of workers {nth_fault}", empty, lambda driver: [driver], kill).wait()
    assert any(run.state == "running" for run in logs(world.store).values()), "the kill came too late"
    world.finish()
    as_undisturbed(world, undisturbed(world.verb))
    no_process(world.folder, but="Agent")


@pytest.mark.parametrize("blow", [press, terminate], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_and_sigterm_reach_all_workers_of_a_run_at_the_same_batch(
    blow: Blow, nth_fault: int, shared: Shared, empty: Path, undisturbed: Callable[[Verb], Path]
) -> None:
    world = shared(case(nth_fault)[0])
    driver = strike(world, f"Ctrl-C for workers {nth_fault}", empty, lambda driver: [driver], blow)
    assert driver.wait(PATIENCE) == 130, world.said()
    assert any(run.state == "running" for run in logs(world.store).values()), "it did not leave before the end"
    world.finish()
    as_undisturbed(world, undisturbed(world.verb))
    no_process(world.folder, but="Agent")
