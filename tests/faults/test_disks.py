"""A full disk, and databases that are locked or read-only: the command says so in a line, and goes on when it can."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.audit import as_undisturbed
from tests.faults.cases import Make, Undisturbed, case
from tests.faults.disks import fill, lock, read_only, small_disk
from tests.faults.leftovers import PATIENCE, WHOLE, no_process
from tests.faults.moments import kill, strike
from tests.faults.world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


def test_a_full_disk_stops_the_study_and_with_room_again_it_goes_on(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault + 1))
    with small_disk(world.store):
        driver = strike(world, f"full {nth_fault}", empty, lambda driver: [driver], lambda _: fill(world.store))
        assert driver.wait(PATIENCE) == 2, world.said()
        assert any(words in last_line(world) for words in ("No space left on device", "disk is full")), world.said()
        (world.store / "ballast").unlink()
        world.finish()
        as_undisturbed(world, undisturbed(world))
        no_process(world.folder)


def test_a_locked_database_ends_as_told_and_once_free_it_gets_all(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault + 1))
    with ExitStack() as held:
        driver = strike(
            world,
            f"locked {nth_fault}",
            empty,
            lambda driver: [driver],
            lambda driver: held.enter_context(lock(database(world), driver)),
        )
        code = driver.wait(WHOLE)
        told(world, code, "locked")
    world.finish()
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder)


def test_a_read_only_database_ends_as_told_and_once_writable_it_gets_all(
    nth_fault: int, make: Make, empty: Path, undisturbed: Undisturbed
) -> None:
    world = make(*case(nth_fault + 1))
    strike(world, f"read-only {nth_fault}", empty, lambda driver: [driver], kill).wait()
    no_process(world.folder, but="Agent")
    with read_only(database(world)):
        told(world, world.run(), "read")
    world.finish()
    as_undisturbed(world, undisturbed(world))
    no_process(world.folder, but="Agent")


def database(world: World) -> Path:
    """Optuna's, without which no search can go on, or MLflow's, without which any study does."""
    return world.store / ("optuna.db" if world.verb == "search" else "mlflow.db")


def told(world: World, code: int, why: str) -> None:
    """A search stops with a line that names its database; an ablation ends, with a line on what MLflow lacks."""
    if world.verb == "search":
        assert code == 2, world.said()
        assert "optuna.db" in last_line(world) and why in last_line(world)
    else:
        assert code == 0, world.said()
        assert "MLflow is behind the logs" in world.errors()
    assert "Traceback" not in world.errors()


def last_line(world: World) -> str:
    """The last line of the command's errors."""
    return world.errors().splitlines()[-1]
