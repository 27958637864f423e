"""Checkpoints and logs that a crash truncated: the study ends as if they were complete."""

import random
from pathlib import Path

import pytest

from nowt.training.checkpoint import UNREADABLE
from tests.faults.cleanup_checks import wait_until_no_process
from tests.faults.comparison import assert_equals_undisturbed, logs
from tests.faults.injection import inject_fault, kill
from tests.faults.repetitions import MakeStudy, Undisturbed, repetition
from tests.faults.study_process import StudyProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


@pytest.fixture
def interrupted_study(make_study: MakeStudy, empty: Path, nth_fault: int) -> StudyProcess:
    """A study whose driver was killed between two epochs of a run, and whose processes have all ended."""
    study = make_study(*repetition(nth_fault + 1))
    inject_fault(study, f"engine before {nth_fault}", empty, lambda driver: [driver], kill).wait()
    wait_until_no_process(study.folder, ignore="Agent")
    return study


def running_runs(study: StudyProcess) -> list[str]:
    """Return the keys of unfinished runs with at least one complete epoch."""
    return [key for key, run in logs(study.store).items() if run.state == "running" and run.last_epoch > 0]


def test_a_truncated_checkpoint_is_replaced_by_the_previous_one(
    nth_fault: int, interrupted_study: StudyProcess, undisturbed: Undisturbed
) -> None:
    (key, *_) = running_runs(interrupted_study)
    path = max((interrupted_study.store / "checkpoints" / key).glob("step-*.pt"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    interrupted_study.rerun()
    kept = path.with_name(path.name + UNREADABLE)
    assert kept.stat().st_size > 0
    kept.unlink()  # the only difference from an undisturbed store
    assert_equals_undisturbed(interrupted_study, undisturbed(interrupted_study))


def test_a_truncated_last_line_of_a_log_is_written_again(
    nth_fault: int, interrupted_study: StudyProcess, undisturbed: Undisturbed
) -> None:
    (key, *_) = running_runs(interrupted_study)
    path = interrupted_study.store / "logs" / f"{key}.jsonl"
    text = path.read_bytes()
    last = len(text.splitlines(keepends=True)[-1])
    path.write_bytes(text[: -random.Random(nth_fault).randint(1, last - 1)])
    interrupted_study.rerun()
    assert_equals_undisturbed(interrupted_study, undisturbed(interrupted_study))
