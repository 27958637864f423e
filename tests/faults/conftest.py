"""Repetitions of each fault, and fixtures with the study to disturb and the undisturbed one.

By default a selection of at most two minutes runs. The environment variables NOWT_KILLS and NOWT_FAULTS, as set by
``make faults``, are the numbers of repetitions of each kill and of each other fault.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from nowt.cli.main import main
from tests.faults.cleanup_checks import kill_processes, wait_until_no_process
from tests.faults.repetitions import MakeStudy, Undisturbed
from tests.faults.study_process import StudyProcess, Verb

pytest.register_assert_rewrite("tests.faults.comparison")  # so that a failure shows what differs

HERE = Path(__file__).parent

KILLS, FAULTS = (int(os.environ.get(name, "0")) for name in ("NOWT_KILLS", "NOWT_FAULTS"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Number the repetitions with ``nth_kill`` and ``nth_fault``."""
    for name, times in (("nth_kill", KILLS), ("nth_fault", FAULTS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(times or 1))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect all tests but the selection, unless a number of repetitions is set."""
    if KILLS or FAULTS:
        return
    out = [item for item in items if HERE in item.path.parents and not item.get_closest_marker("selection")]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder for Ray's sessions, whose sockets need a short path."""
    folder = Path(mkdtemp(prefix="nowt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def study_folders(short_folder: Path) -> Iterator[list[Path]]:
    """The folders of all studies. Ray's agents may outlive a killed driver, but by no more than the timeout."""
    found: list[Path] = []
    yield found
    for folder in found:
        wait_until_no_process(folder)


@pytest.fixture
def make_study(tmp_path: Path, empty: Path, short_folder: Path, study_folders: list[Path]) -> Iterator[MakeStudy]:
    """Create the study to disturb. A test that fails leaves no process of it to slow down the next test."""

    def made(verb: Verb, slots: int, rule: str) -> StudyProcess:
        study = StudyProcess(tmp_path / "study", verb, slots, {"RAY_TMPDIR": str(short_folder)}, rule=rule)
        study_folders.append(study.folder)
        return study.reset(empty)

    yield made
    kill_processes(tmp_path / "study")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Undisturbed:
    """Return the store of a study without a fault, run in this process without Ray."""

    @cache
    def store(verb: Verb, rule: str) -> Path:
        folder = tmp_path_factory.mktemp("undisturbed")
        study = StudyProcess(folder, verb, 1, rule=rule, pause=0.0).reset(empty)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main([*study.argv, "--in-process"]) == 0
        return study.store

    return lambda study: store(study.verb, study.rule)
