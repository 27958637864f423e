"""Runs with two Ray Train workers: workers are killed or interrupted, and the study ends as an undisturbed one."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.faults.cleanup_checks import STUDY_TIMEOUT, TIMEOUT, wait_until_no_process
from tests.faults.comparison import assert_equals_undisturbed, logs
from tests.faults.injection import Fault, inject_fault, kill, terminate
from tests.faults.repetitions import MakeStudy, Undisturbed, repetition
from tests.faults.study_process import StudyProcess, Verb
from tests.faults.test_interrupts import press_ctrl_c

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

Shared = Callable[[int], StudyProcess]


@pytest.fixture
def shared(make_study: MakeStudy, empty: Path) -> Shared:
    """Create a study whose runs two workers share, by the number of the repetition."""

    def made(number: int) -> StudyProcess:
        verb, _, rule = repetition(number)
        return replace(make_study(verb, 1, rule), workers=2).reset(empty)

    return made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path, short_folder: Path) -> Undisturbed:
    """Return the store of such a study without a fault."""

    @cache
    def store(verb: Verb, rule: str) -> Path:
        folder = tmp_path_factory.mktemp("undisturbed")
        study = StudyProcess(folder, verb, 1, {"RAY_TMPDIR": str(short_folder)}, pause=0.0, workers=2, rule=rule).reset(
            empty
        )
        study.rerun()
        return study.store

    return lambda study: store(study.verb, study.rule)


def test_a_run_resumes_after_one_of_its_workers_is_killed(
    nth_kill: int, shared: Shared, empty: Path, undisturbed: Undisturbed
) -> None:
    study = shared(nth_kill)
    driver = inject_fault(
        study, f"worker {nth_kill}", empty, lambda _: study.training_processes(), kill, must_train=True
    )
    assert driver.wait(STUDY_TIMEOUT) == 0, study.output()  # without another command
    assert max(run.attempts for run in logs(study.store).values()) == 2
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder)


def test_a_killed_driver_of_shared_runs_is_resumed_by_the_same_command(
    nth_fault: int, shared: Shared, empty: Path, undisturbed: Undisturbed
) -> None:
    study = shared(nth_fault + 1)
    inject_fault(study, f"engine of workers {nth_fault}", empty, lambda driver: [driver], kill).wait()
    assert any(run.state == "running" for run in logs(study.store).values()), "the study ended before the kill"
    study.rerun()
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder, ignore="Agent")


@pytest.mark.parametrize("fault", [press_ctrl_c, terminate], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_and_sigterm_stop_all_workers_at_the_same_batch(
    fault: Fault, nth_fault: int, shared: Shared, empty: Path, undisturbed: Undisturbed
) -> None:
    study = shared(nth_fault)
    driver = inject_fault(study, f"Ctrl-C for workers {nth_fault}", empty, lambda driver: [driver], fault)
    assert driver.wait(TIMEOUT) == 130, study.output()
    assert any(run.state == "running" for run in logs(study.store).values()), "it ended before the interruption"
    study.rerun()
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder, ignore="Agent")
