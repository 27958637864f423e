"""Nodes of a cluster are drained or lost while workers share a run: others resume it, with unchanged numbers."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.store.records import RunLog
from tests.faults.cleanup_checks import TIMEOUT, children, wait_until_no_process
from tests.faults.comparison import logs
from tests.faults.injection import kill
from tests.faults.ray_clusters import elastic_cluster
from tests.faults.repetitions import MakeStudy
from tests.faults.study_process import EPOCHS, STEPS, StudyProcess
from tests.support.metadata_service import NOTICE, metadata_service
from tests.support.small_studies import numbers, wait_for
from tests.support.worker_processes import farthest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

ONE_RUN = ["--seeds", "1", "--precision", "float64"]

ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"

EACH_STEP_ONCE = ["--seeds", "1", "--audit", "0"]  # an audited step is done more than once


@pytest.fixture
def shared(make_study: MakeStudy, empty: Path) -> StudyProcess:
    """A slow run with two workers."""
    return replace(make_study("ablate", 1, "kp"), workers=2, pause=1.0).reset(empty)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path, short_folder: Path) -> RunLog:
    """The same run without a fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    study = StudyProcess(folder, "ablate", 1, {"RAY_TMPDIR": str(short_folder)}, workers=2).reset(empty)
    assert study.run("--seeds", "1") == 0, study.output()
    return only(study)


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> RunLog:
    """The same run in double precision, with one worker and without interruption."""
    study = StudyProcess(tmp_path_factory.mktemp("alone"), "ablate", 1).reset(empty)
    assert study.run("--in-process", "--model.norm_group", "8", *ONE_RUN) == 0, study.output()
    return only(study)


def only(study: StudyProcess) -> RunLog:
    (run,) = logs(study.store).values()
    return run


@pytest.mark.parametrize("by", ["ray", "ec2"])
def test_a_drained_node_causes_no_batch_to_be_repeated(
    by: str, nth_fault: int, shared: StudyProcess, undisturbed: RunLog
) -> None:
    with metadata_service() as one, metadata_service() as other, elastic_cluster(shared) as (study, cluster):
        machines = [(cluster.add(2, **{ENDPOINT: ec2.url}), ec2) for ec2 in (one, other)]
        driver = study.start(*EACH_STEP_ONCE)
        wait_for(lambda: bool(study.training_processes()), TIMEOUT, "the second epoch")
        (node, ec2) = next(
            machine for machine in machines if set(children(machine[0]["raylet"])) & set(study.training_processes())
        )
        study.set_pause(5)  # `ray drain-node` takes seconds to start, and the notice must come before the run ends
        before = time.monotonic()
        if by == "ray":
            cluster.drain(node["node"])
        else:
            ec2.notice = NOTICE
        wait_for(lambda: bool(checkpoints_within_epochs(study)), TIMEOUT, "the checkpoint")
        print(f"{by}: {time.monotonic() - before:.1f} s from notice to checkpoint")
        study.set_pause(0.1)
        assert driver.wait(TIMEOUT) == 0, study.output()
        wait_for(lambda: not Path(f"/proc/{node['raylet']}/exe").exists(), TIMEOUT, "the end of the drained node")
    run = only(study)
    assert (run.state, run.attempts, run.workers) == ("finished", 2, (2,) * (EPOCHS + 1))
    assert numbers(run) == numbers(undisturbed)
    steps = Counter((study.folder / "steps").read_text().split())
    assert steps == {str(step): 2 for step in range(1, EPOCHS * STEPS + 1)}  # once by each of both workers
    wait_until_no_process(study.folder)


def checkpoints_within_epochs(study: StudyProcess) -> list[str]:
    """Return the checkpoints that are not at the end of an epoch."""
    return [path.name for path in study.store.glob("checkpoints/*/step-*.pt") if int(path.stem[5:]) % STEPS]


def test_a_run_with_one_worker_resumes_from_the_checkpoint_of_the_notice(
    nth_fault: int, make_study: MakeStudy, empty: Path
) -> None:
    slow = replace(make_study("ablate", 1, "kp"), pause=1.0).reset(empty)
    with metadata_service() as one, metadata_service() as other, elastic_cluster(slow) as (study, cluster):
        machines = [(cluster.add(1, **{ENDPOINT: ec2.url}), ec2) for ec2 in (one, other)]
        driver = study.start(*EACH_STEP_ONCE)
        wait_for(lambda: bool(study.training_processes()), TIMEOUT, "the second epoch")
        (node, ec2) = next(
            machine for machine in machines if set(children(machine[0]["raylet"])) & set(study.training_processes())
        )
        ec2.notice = NOTICE
        wait_for(lambda: bool(checkpoints_within_epochs(study)), TIMEOUT, "the checkpoint")
        kill(node["raylet"])
        study.set_pause(0.1)
        assert driver.wait(TIMEOUT) == 0, study.output()
    run = only(study)
    assert (run.state, run.attempts) == ("finished", 2)
    steps = Counter((study.folder / "steps").read_text().split())
    assert set(steps) == {str(step) for step in range(1, EPOCHS * STEPS + 1)}
    assert list(steps.values()).count(1) >= len(steps) - 2  # only what came after the checkpoint is repeated
    one_worker = replace(study, folder=study.folder.with_name("alone"), environment={}).reset(empty)
    one_worker.set_pause(0)
    assert one_worker.run("--in-process", "--seeds", "1") == 0, one_worker.output()
    assert numbers(run) == numbers(only(one_worker))
    wait_until_no_process(study.folder)


def test_a_group_shrinks_when_a_node_is_lost_and_grows_when_one_joins(
    nth_fault: int, shared: StudyProcess, one_worker: RunLog
) -> None:
    with elastic_cluster(replace(shared, workers="1:2")) as (study, cluster):
        lost, _ = cluster.add(1), cluster.add(1)
        driver = study.start(*ONE_RUN)
        wait_for(lambda: bool(study.training_processes()), TIMEOUT, "the second epoch")
        kill(lost["raylet"])
        before = time.monotonic()
        wait_for(lambda: only(study).attempts == 2, TIMEOUT, "the smaller group")
        print(f"{time.monotonic() - before:.1f} s from the loss to the smaller group")
        wait_for(lambda: only(study).workers[-1] == 1, TIMEOUT, "an epoch of the smaller group")
        study.set_pause(8)  # until it may grow
        cluster.add(1)
        wait_for(lambda: only(study).attempts == 3, TIMEOUT, "the larger group")
        study.set_pause(0.1)
        assert driver.wait(TIMEOUT) == 0, study.output()
    run = only(study)
    assert (run.state, run.attempts) == ("finished", 3)
    assert (run.workers[:2], run.workers[-1], set(run.workers)) == ((2, 2), 2, {1, 2})
    assert farthest(list(run.epochs), list(one_worker.epochs)) < 1e-10
    wait_until_no_process(study.folder)
