"""How often each fault happens, worlds to disturb, and what an undisturbed study ends as.

By default a selection of at most two minutes runs. NOWT_KILLS and NOWT_FAULTS, as ``make faults`` sets them, are the
times that each kill and each other fault is repeated.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.faults.cases import Make, Undisturbed
from tests.faults.leftovers import no_process
from tests.faults.world import Verb, World

HERE = Path(__file__).parent

KILLS, FAULTS = (int(os.environ.get(name, "0")) for name in ("NOWT_KILLS", "NOWT_FAULTS"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``nth_kill`` and ``nth_fault`` number the repetitions."""
    for name, times in (("nth_kill", KILLS), ("nth_fault", FAULTS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(times or 1))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave all but the selection out, unless the times are given."""
    if KILLS or FAULTS:
        return
    out = [item for item in items if HERE in item.path.parents and not item.get_closest_marker("selection")]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def short() -> Iterator[Path]:
    """A folder for Ray's sessions, whose sockets need a short path; in the end nothing is at work in it."""
    folder = Path(mkdtemp(prefix="nowt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def folders(short: Path) -> Iterator[list[Path]]:
    """The folders in which studies ran. Ray's own agents may outlive a killed driver by a minute, but not longer."""
    found: list[Path] = []
    yield found
    for folder in found:
        no_process(folder)


@pytest.fixture
def make(tmp_path: Path, empty: Path, short: Path, folders: list[Path]) -> Make:
    """Makes the world of one disturbed study."""

    def made(verb: Verb, slots: int, rule: str) -> World:
        world = World(tmp_path / "study", verb, slots, {"RAY_TMPDIR": str(short)}, rule=rule)
        folders.append(world.folder)
        return world.make(empty)

    return made


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Undisturbed:
    """The store of a study that nothing disturbed, in one process without Ray."""

    @cache
    def store(verb: Verb, rule: str) -> Path:
        folder = tmp_path_factory.mktemp("undisturbed")
        world = World(folder, verb, 1, rule=rule, pause=0.0).make(empty)
        assert world.run("--in-process") == 0, world.said()
        return world.store

    return lambda world: store(world.verb, world.rule)
