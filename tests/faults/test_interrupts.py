"""Ctrl-C, SIGTERM and a spending cap between two epochs: the command exits cleanly, and resumes when repeated."""

import os
import random
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cleanup_checks import TIMEOUT, temporary_files, wait_until_no_process
from tests.faults.comparison import assert_equals_undisturbed, logs
from tests.faults.injection import inject_fault, terminate
from tests.faults.repetitions import MakeStudy, Undisturbed, repetition
from tests.faults.study_process import StudyProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


def press_ctrl_c(driver: int) -> None:
    """Send SIGINT to the process group, as a terminal does. A stopped driver continues to receive it."""
    os.killpg(driver, signal.SIGINT)
    os.kill(driver, signal.SIGCONT)


@pytest.mark.selection
def test_ctrl_c_writes_checkpoints_and_prints_the_command_that_resumes(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault))
    driver = inject_fault(study, f"Ctrl-C {nth_fault}", empty, lambda driver: [driver], press_ctrl_c)
    assert driver.wait(TIMEOUT) == 130, study.output()
    assert f"run the same command again: nowt {shlex.join(study.argv)}" in study.errors().splitlines()[-1]
    assert temporary_files(study.store) == []
    assert_resumes(study, undisturbed, StudyProcess.rerun_in_process)  # on Ray after a kill, see test_kills.py


def test_a_second_ctrl_c_exits_at_once_and_the_same_command_resumes(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault + 1))
    pause = random.Random(f"second Ctrl-C {nth_fault}").uniform(0, 0.5)
    once, twice = (seconds_to_exit(study, f"Ctrl-C twice {nth_fault}", empty, pause, presses) for presses in (1, 2))
    assert twice < once, "the second Ctrl-C waited for a run that hangs, too"
    assert_resumes(study, undisturbed)


def seconds_to_exit(study: StudyProcess, seed: str, empty: Path, pause: float, presses: int) -> float:
    """Press Ctrl-C so many times while the runs hang and cannot write; return the seconds until the command exits."""
    began = 0.0

    def hang_and_press(driver: int) -> None:
        nonlocal began
        for run in study.training_processes():
            os.kill(run, signal.SIGSTOP)
        began = time.monotonic()
        press_ctrl_c(driver)
        for _ in range(presses - 1):
            time.sleep(pause)
            press_ctrl_c(driver)

    driver = inject_fault(study, seed, empty, lambda driver: [driver], hang_and_press)
    assert driver.wait(TIMEOUT) in (130, -signal.SIGINT), study.output()
    return time.monotonic() - began


def test_sigterm_to_the_command_acts_like_ctrl_c(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault))
    driver = inject_fault(study, f"SIGTERM {nth_fault}", empty, lambda driver: [driver], terminate)
    assert driver.wait(TIMEOUT) == 130, study.output()
    assert temporary_files(study.store) == []
    assert_resumes(study, undisturbed)


def test_a_spending_cap_stops_the_study_and_the_same_command_resumes(
    nth_fault: int, make_study: MakeStudy, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_fault))
    study.set_pause(2.0)  # an epoch takes 8 s, so the cap is reached within the first runs, however slowly Ray starts
    assert study.run("--hours", "0.004") == 130, study.output()
    assert "stopped at its cap" in study.output()
    assert temporary_files(study.store) == []
    assert_resumes(study, undisturbed)


def assert_resumes(
    study: StudyProcess, undisturbed: Undisturbed, rerun: Callable[[StudyProcess], None] = StudyProcess.rerun
) -> None:
    """Assert that runs were interrupted, and that the same command ends as if nothing had happened."""
    assert any(run.state == "running" for run in logs(study.store).values()), "it ended before the interruption"
    rerun(study)
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder, ignore="Agent")
