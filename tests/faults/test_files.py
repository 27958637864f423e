"""Files that a crash cut short: the study ends as if they were whole."""

import random
from pathlib import Path

import pytest

from tests.faults.audit import as_undisturbed, logs
from tests.faults.cases import Make, Undisturbed, case
from tests.faults.leftovers import no_process
from tests.faults.moments import kill, strike
from tests.faults.world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


@pytest.fixture
def half_done(make: Make, empty: Path, nth_fault: int) -> World:
    """A study whose engine was killed between two epochs of a run, and all that it had started is gone."""
    world = make(*case(nth_fault + 1))
    strike(world, f"engine before {nth_fault}", empty, lambda driver: [driver], kill).wait()
    no_process(world.folder, but="Agent")
    return world


def begun(world: World) -> list[str]:
    """The keys of the runs that are under way, one epoch or more done."""
    return [key for key, run in logs(world.store).items() if run.state == "running" and run.last_epoch > 0]


def test_a_checkpoint_cut_in_half_makes_way_for_the_one_before_it(
    nth_fault: int, half_done: World, undisturbed: Undisturbed
) -> None:
    (key, *_) = begun(half_done)
    path = max((half_done.store / "checkpoints" / key).glob("step-*.pt"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    half_done.finish()
    as_undisturbed(half_done, undisturbed(half_done))


def test_a_log_cut_in_its_last_line_gets_that_line_again(
    nth_fault: int, half_done: World, undisturbed: Undisturbed
) -> None:
    (key, *_) = begun(half_done)
    path = half_done.store / "logs" / f"{key}.jsonl"
    text = path.read_bytes()
    last = len(text.splitlines(keepends=True)[-1])
    path.write_bytes(text[: -random.Random(nth_fault).randint(1, last - 1)])
    half_done.finish()
    as_undisturbed(half_done, undisturbed(half_done))
