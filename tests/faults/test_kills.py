"""Driver, actor or raylet are killed while a run is between two epochs: the study ends as if nothing had happened."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.cleanup_checks import STUDY_TIMEOUT, children, temporary_files, wait_until_no_process
from tests.faults.comparison import assert_equals_undisturbed, logs
from tests.faults.injection import inject_fault, kill
from tests.faults.ray_clusters import two_node_cluster
from tests.faults.repetitions import MakeStudy, Undisturbed, repetition
from tests.faults.study_process import StudyProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy


@pytest.mark.selection
def test_a_killed_driver_is_resumed_by_the_same_command(
    nth_kill: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_kill + 1))
    inject_fault(study, f"engine {nth_kill}", empty, lambda driver: [driver], kill).wait()
    assert any(run.state == "running" for run in logs(study.store).values()), "the study ended before the kill"
    assert temporary_files(study.store), "Ray Tune left no files, so that their removal cannot be tested"
    study.rerun()
    assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder, ignore="Agent")


def test_another_actor_resumes_the_run_of_a_killed_actor(
    nth_kill: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = make_study(*repetition(nth_kill))
    driver = inject_fault(
        study, f"actor {nth_kill}", empty, lambda _: study.training_processes(), kill, must_train=True
    )
    assert_recovers(study, driver, undisturbed)
    wait_until_no_process(study.folder)


def test_the_first_node_resumes_the_run_of_a_lost_node(
    nth_kill: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    study = replace(
        make_study(*repetition(nth_kill)), pause=0.4
    )  # otherwise the first node finishes before the second starts
    with two_node_cluster(study) as (study, raylet):
        driver = inject_fault(study, f"raylet {nth_kill}", empty, lambda _: active_raylet(study, raylet), kill)
        assert_recovers(study, driver, undisturbed)
    wait_until_no_process(study.folder)


def test_a_killed_driver_leaves_no_resources_reserved_in_a_running_ray(
    nth_fault: int, make_study: MakeStudy, empty: Path, undisturbed: Undisturbed
) -> None:
    with two_node_cluster(make_study(*repetition(nth_fault + 1))) as (
        study,
        _,
    ):  # asserts at the end that all resources are free
        inject_fault(study, f"engine beside {nth_fault}", empty, lambda driver: [driver], kill).wait()
        assert any(run.state == "running" for run in logs(study.store).values()), "the study ended before the kill"
        study.rerun()
        assert_equals_undisturbed(study, undisturbed(study))
    wait_until_no_process(study.folder)


def active_raylet(study: StudyProcess, raylet: int) -> list[int]:
    """Return the raylet if a run on its node is between two epochs."""
    return [raylet] if set(children(raylet)) & set(study.training_processes()) else []


def assert_recovers(study: StudyProcess, driver: subprocess.Popen[bytes], undisturbed: Undisturbed) -> None:
    """Assert that the command ends by itself with the undisturbed result, and that some run was started twice."""
    assert driver.wait(STUDY_TIMEOUT) == 0, study.output()
    assert max(run.attempts for run in logs(study.store).values()) == 2
    assert_equals_undisturbed(study, undisturbed(study))
