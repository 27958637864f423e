"""A node of a cluster is soon to go, or goes without a word, while workers on it share a run: other workers go on from
where they were, and the run ends with the numbers of one that nothing disturbed."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.store.records import RunLog
from tests.faults.audit import logs
from tests.faults.cases import Make
from tests.faults.leftovers import PATIENCE, children, no_process
from tests.faults.moments import kill
from tests.faults.nodes import changing_nodes
from tests.faults.world import EPOCHS, STEPS, World
from tests.support.metadata_service import NOTICE, metadata_service
from tests.support.small_studies import numbers, wait_for
from tests.support.worker_processes import farthest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's use of SQLAlchemy

ONE_RUN = ["--seeds", "1", "--precision", "float64"]

ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"


@pytest.fixture
def shared(make: Make, empty: Path) -> World:
    """A run that two workers share, and that takes its time."""
    return replace(make("ablate", 1, "kp"), workers=2, pause=1.0).make(empty)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty: Path, short: Path) -> RunLog:
    """The same run, undisturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    world = World(folder, "ablate", 1, {"RAY_TMPDIR": str(short)}, workers=2).make(empty)
    assert world.run("--seeds", "1") == 0, world.said()
    return only(world)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> RunLog:
    """The same run in double precision, by one worker in one go."""
    world = World(tmp_path_factory.mktemp("alone"), "ablate", 1).make(empty)
    assert world.run("--in-process", "--model.norm_group", "8", *ONE_RUN) == 0, world.said()
    return only(world)


def only(world: World) -> RunLog:
    (run,) = logs(world.store).values()
    return run


@pytest.mark.parametrize("by", ["ray", "ec2"])
def test_a_node_that_is_soon_to_go_loses_no_batch(by: str, nth_fault: int, shared: World, undisturbed: RunLog) -> None:
    with metadata_service() as one, metadata_service() as other, changing_nodes(shared) as (world, nodes):
        machines = [(nodes.add(2, **{ENDPOINT: ec2.url}), ec2) for ec2 in (one, other)]
        driver = world.start("--seeds", "1")
        wait_for(lambda: bool(world.at_work()), PATIENCE, "the second epoch")
        (node, ec2) = next(
            machine for machine in machines if set(children(machine[0]["raylet"])) & set(world.at_work())
        )
        before = time.monotonic()
        if by == "ray":
            nodes.drain(node["node"])
        else:
            ec2.notice = NOTICE
        wait_for(lambda: bool(in_mid_epoch(world)), PATIENCE, "the checkpoint")
        print(f"{by}: {time.monotonic() - before:.1f} s from notice to checkpoint")
        world.set_pause(0.1)
        assert driver.wait(PATIENCE) == 0, world.said()
        wait_for(
            lambda: not Path(f"/proc/{node['raylet']}/exe").exists(), PATIENCE, "the node's end, which has no work"
        )
    run = only(world)
    assert (run.state, run.attempts, run.workers) == ("finished", 2, (2,) * (EPOCHS + 1))
    assert numbers(run) == numbers(undisturbed)
    steps = Counter((world.folder / "steps").read_text().split())
    assert steps == {str(step): 2 for step in range(1, EPOCHS * STEPS + 1)}  # by both workers, and never again
    no_process(world.folder)


def in_mid_epoch(world: World) -> list[str]:
    """The checkpoints that lie between two epochs."""
    return [path.name for path in world.store.glob("checkpoints/*/step-*.pt") if int(path.stem[5:]) % STEPS]


def test_a_run_of_one_worker_has_a_checkpoint_of_its_last_moments_when_its_node_goes(
    nth_fault: int, make: Make, empty: Path
) -> None:
    unhurried = replace(make("ablate", 1, "kp"), pause=1.0).make(empty)
    with metadata_service() as one, metadata_service() as other, changing_nodes(unhurried) as (world, nodes):
        machines = [(nodes.add(1, **{ENDPOINT: ec2.url}), ec2) for ec2 in (one, other)]
        driver = world.start("--seeds", "1")
        wait_for(lambda: bool(world.at_work()), PATIENCE, "the second epoch")
        (node, ec2) = next(
            machine for machine in machines if set(children(machine[0]["raylet"])) & set(world.at_work())
        )
        ec2.notice = NOTICE
        wait_for(lambda: bool(in_mid_epoch(world)), PATIENCE, "the checkpoint")
        kill(node["raylet"])
        world.set_pause(0.1)
        assert driver.wait(PATIENCE) == 0, world.said()
    run = only(world)
    assert (run.state, run.attempts) == ("finished", 2)
    steps = Counter((world.folder / "steps").read_text().split())
    assert set(steps) == {str(step) for step in range(1, EPOCHS * STEPS + 1)}
    assert list(steps.values()).count(1) >= len(steps) - 2  # from the notice's checkpoint on: what came after it, again
    alone = replace(world, folder=world.folder.with_name("alone"), environment={}).make(empty)
    alone.set_pause(0)
    assert alone.run("--in-process", "--seeds", "1") == 0, alone.said()
    assert numbers(run) == numbers(only(alone))
    no_process(world.folder)


def test_a_group_goes_on_with_fewer_when_a_node_is_lost_and_with_more_when_one_comes(
    nth_fault: int, shared: World, alone: RunLog
) -> None:
    with changing_nodes(replace(shared, workers="1:2")) as (world, nodes):
        lost, _ = nodes.add(1), nodes.add(1)
        driver = world.start(*ONE_RUN)
        wait_for(lambda: bool(world.at_work()), PATIENCE, "the second epoch")
        kill(lost["raylet"])
        before = time.monotonic()
        wait_for(lambda: only(world).attempts == 2, PATIENCE, "the smaller group")
        print(f"{time.monotonic() - before:.1f} s from the loss to the smaller group")
        wait_for(lambda: only(world).workers[-1] == 1, PATIENCE, "an epoch of the smaller group")
        world.set_pause(8)  # until it may grow
        nodes.add(1)
        wait_for(lambda: only(world).attempts == 3, PATIENCE, "the larger group")
        world.set_pause(0.1)
        assert driver.wait(PATIENCE) == 0, world.said()
    run = only(world)
    assert (run.state, run.attempts) == ("finished", 3)
    assert (run.workers[:2], run.workers[-1], set(run.workers)) == ((2, 2), 2, {1, 2})
    assert farthest(list(run.epochs), list(alone.epochs)) < 1e-10
    no_process(world.folder)
