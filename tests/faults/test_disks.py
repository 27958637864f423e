"""A full disk, and locked or read-only databases: the command reports it in one line, and resumes afterwards."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.cleanup_checks import STUDY_TIMEOUT, TIMEOUT, wait_until_no_process
from tests.faults.comparison import assert_equals_undisturbed
from tests.faults.injection import inject_fault, kill
from tests.faults.repetitions import MakeStudy, Undisturbed, repetition
from tests.faults.storage_faults import fill, lock, read_only, small_disk
from tests.faults.study_process import StudyProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


def test_a_full_disk_stops_the_study_which_resumes_with_free_space(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault + 1))
    with small_disk(study.store):
        driver = inject_fault(study, f"full {nth_fault}", empty, lambda driver: [driver], lambda _: fill(study.store))
        assert driver.wait(TIMEOUT) == 2, study.output()
        assert any(words in last_line(study) for words in ("No space left on device", "disk is full")), study.output()
        (study.store / "ballast").unlink()
        study.rerun()
        assert_equals_undisturbed(study, undisturbed(study))
        wait_until_no_process(study.folder)


def test_a_locked_database_is_reported_and_completed_once_unlocked(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault + 1))
    with ExitStack() as held:
        driver = inject_fault(
            study,
            f"locked {nth_fault}",
            empty,
            lambda driver: [driver],
            lambda driver: held.enter_context(lock(database(study), driver)),
        )
        code = driver.wait(STUDY_TIMEOUT)
        assert_reported(study, code, "locked")
    study.rerun()
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder)


def test_a_read_only_database_is_reported_and_completed_once_writable(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault + 1))
    inject_fault(study, f"read-only {nth_fault}", empty, lambda driver: [driver], kill).wait()
    wait_until_no_process(study.folder, ignore="Agent")
    with read_only(database(study)):
        assert_reported(study, study.run(), "read")
    study.rerun()
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder, ignore="Agent")


def database(study: StudyProcess) -> Path:
    """Return Optuna's database, without which no search continues, or MLflow's, without which an ablation does."""
    return study.store / ("optuna.db" if study.verb == "search" else "mlflow.db")


def assert_reported(study: StudyProcess, code: int, reason: str) -> None:
    """Assert that a search stops with a line that names its database, and an ablation ends with a line on MLflow."""
    if study.verb == "search":
        assert code == 2, study.output()
        assert "optuna.db" in last_line(study) and reason in last_line(study)
    else:
        assert code == 0, study.output()
        assert "MLflow is behind the logs" in study.errors()
    assert "Traceback" not in study.errors()


def last_line(study: StudyProcess) -> str:
    """Return the last line of the command's standard error."""
    return study.errors().splitlines()[-1]
