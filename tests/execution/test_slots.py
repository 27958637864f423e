"""How many runs execute at the same time by default, and which share of a GPU each gets."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.execution.slots import Node, Slots, default_slots, find_slots, gpu_share


@pytest.mark.parametrize(
    ("placement", "cores", "gpus", "slots"),
    [
        (Placement(), 8, 0, 8),
        (Placement(threads=3), 8, 0, 2),
        (Placement(threads=16), 8, 0, 1),
        (Placement(workers=4), 8, 0, 2),
        (Placement(workers=(2, 8)), 8, 0, 1),
        (Placement(), 64, 8, 8),  # a large node: one run per GPU, not eight
        (Placement(), 4, 8, 4),
        (Placement(gpus_per_worker=0.5), 64, 8, 16),
        (Placement(gpus_per_worker=2), 64, 8, 4),
        (Placement(workers=2), 64, 8, 4),
        (Placement(device="cpu"), 64, 8, 64),
    ],
)
def test_by_default_there_is_one_run_per_gpu_and_without_gpus_one_per_core(
    placement: Placement, cores: int, gpus: int, slots: int
) -> None:
    assert default_slots(placement, [Node(cores, gpus)]) == slots


@pytest.mark.parametrize(
    ("share", "gpus", "slots"),
    [(0.1, 1, 10), (0.3, 8, 24), (0.4, 8, 16), (0.6, 4, 4), (0.7, 3, 3), (1 / 3, 2, 6), (1 / 49, 1, 49), (3, 8, 2)],
)
def test_a_share_of_a_gpu_lies_on_one_gpu(share: float, gpus: int, slots: int) -> None:
    assert default_slots(Placement(gpus_per_worker=share), [Node(1000, gpus)]) == slots


def test_the_workers_of_a_run_share_gpus_as_runs_do() -> None:
    assert default_slots(Placement(workers=2, gpus_per_worker=0.1), [Node(1000, 4)]) == 20
    assert default_slots(Placement(workers=2), [Node(1000, 1), Node(1000, 1)]) == 1  # one worker on each node


def test_only_what_fits_on_single_nodes_counts() -> None:
    assert default_slots(Placement(threads=4), [Node(6, 0), Node(6, 0)]) == 2
    assert default_slots(Placement(gpus_per_worker=2), [Node(64, 3), Node(64, 3)]) == 2
    assert default_slots(Placement(threads=4), [Node(16, 0), Node(8, 8)]) == 2  # the first node has no GPU
    assert default_slots(Placement(threads=4, device="cpu"), [Node(16, 0), Node(8, 8)]) == 6


@pytest.mark.parametrize(
    ("slots", "gpus", "share"),
    [(2, 2, 1.0), (1, 2, 1.0), (3, 2, 1 / 2), (4, 2, 1 / 2), (5, 2, 1 / 3), (8, 1, 1 / 8), (2, 8, 1.0), (3, 0, 0.0)],
)
def test_all_slots_find_room_on_the_gpus(slots: int, gpus: int, share: float) -> None:
    found = gpu_share(Placement(slots=slots), gpus, slots)
    assert found == pytest.approx(share)
    if gpus:
        assert gpus * int(1 / found + 1e-9) >= slots  # runs per GPU are whole


def test_a_share_that_is_given_is_kept() -> None:
    assert gpu_share(Placement(gpus_per_worker=0.25), 2, 2) == 0.25
    assert gpu_share(Placement(device="cpu"), 2, 2) == 0.0


def test_slots_that_are_given_need_no_look_at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert find_slots(Placement(slots=12)) == Slots(12, "the cluster")
    assert find_slots(Placement(slots=12), most=5) == Slots(5, "the cluster")


@pytest.mark.parametrize("command", [["plan", "rules_on_digits", "--quick"], ["doctor", "--cluster"]])
def test_a_cluster_that_does_not_answer_is_named_in_one_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:  # bound, but nothing listens
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        f"nowt: RAY_ADDRESS is {address}, and no Ray answers there ([Errno 111] Connection refused)"
    )
    assert "start it, or unset RAY_ADDRESS" in error and error.count("\n") == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "ray://head:10001", "head", ":6379", "head:many"])
def test_an_address_of_another_form_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(["plan", "rules_on_digits", "--quick"]) == 2
    assert capsys.readouterr().err == (f"nowt: RAY_ADDRESS is {address}: it must be HOST:6379 or, on the head, auto\n")


def test_an_empty_address_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert find_slots(Placement(device="cpu", slots=2)).place == "this machine"


def test_only_the_cores_that_the_process_may_use_count() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from nowt.config.placement import Placement\n"
        "from nowt.execution.slots import find_slots\n"
        "print(find_slots(Placement(device='cpu')))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "Slots(count=1, place='this machine')\n"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of two nodes, with five cores and three GPUs, that this process is not connected to."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
    cluster.add_node(num_cpus=3, num_gpus=2)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster.address
    cluster.shutdown()


def test_on_a_cluster_its_cores_and_gpus_count(cluster: str) -> None:
    assert find_slots(Placement()) == Slots(3, "the cluster")
    assert find_slots(Placement(device="cpu")) == Slots(5, "the cluster")
    assert find_slots(Placement(threads=2)) == Slots(2, "the cluster")
    assert find_slots(Placement(gpus_per_worker=0.4)) == Slots(5, "the cluster")
    assert find_slots(Placement(threads=3, device="cpu")) == Slots(1, "the cluster")
