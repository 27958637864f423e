"""How many runs execute at the same time, and the share of a GPU that each gets.

The default is one run per GPU; without GPUs, as many runs as there are cores for. On this machine, the cores are those
that this process may use: its CPU affinity and the limits of its cgroup count. At ``RAY_ADDRESS``, they are the
cluster's. Each worker must fit on one node, and its share of a GPU on one GPU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nowt.cluster.connection import LOCAL, ray_address
from nowt.config.placement import Placement


@dataclass(frozen=True)
class Node:
    """What one machine has for runs."""

    cores: float
    gpus: float


@dataclass(frozen=True)
class Slots:
    """The number of runs at the same time, and where they execute.

    Attributes:
        count: Number of runs, at least 1.
        place: ``this machine`` or ``the cluster``.
    """

    count: int
    place: str


def find_slots(placement: Placement, most: int | None = None) -> Slots:
    """Return the slots that ``placement`` sets, or else the default; at most ``most``, if given.

    Without ``placement.slots``, it asks the cluster if RAY_ADDRESS names one. Raises AccessError if none answers there.
    """
    on_cluster = ray_address() != LOCAL
    place = "the cluster" if on_cluster else "this machine"
    if placement.slots is not None:
        found = placement.slots
    else:
        found = default_slots(placement, _cluster() if on_cluster else _this_machine(placement))
    return Slots(found if most is None else min(found, most), place)


def default_slots(placement: Placement, nodes: Sequence[Node]) -> int:
    """Return how many runs the nodes have room for; at least 1. If any node has GPUs, each worker needs its share."""
    on_gpus = placement.device != "cpu" and any(node.gpus for node in nodes)
    workers = sum(_workers_on(node, placement, on_gpus) for node in nodes)
    return max(1, workers // placement.max_workers)


def _workers_on(node: Node, placement: Placement, on_gpus: bool) -> int:
    """Return how many workers fit on the node. A worker never spans nodes, nor does a share of a GPU span GPUs."""
    by_cores = int(node.cores // placement.threads)
    if not on_gpus:
        return by_cores
    share = placement.gpus_per_worker or 1.0
    by_gpus = int(node.gpus // share) if share >= 1 else int(node.gpus) * _shares_of_a_gpu(share)
    return min(by_cores, by_gpus)


def _shares_of_a_gpu(share: float) -> int:
    return int(1 / share + 1e-9)  # 1 / 0.1 may be rounded down


def gpu_share(placement: Placement, gpus: float, slots: int) -> float:
    """Return the GPUs per run: those of ``placement``, or one; less only if there are more slots than GPUs.

    With 3 slots on 2 GPUs it is 1/2, so that all three find room.
    """
    if placement.device == "cpu" or not gpus:
        return placement.gpus_per_worker or 0.0
    return placement.gpus_per_worker or 1 / math.ceil(max(1.0, slots / gpus))


def _this_machine(placement: Placement) -> list[Node]:
    """Return the cores that this process may use, and the GPUs that it sees."""
    import joblib

    cores = joblib.cpu_count()
    if placement.device == "cpu":
        return [Node(cores, 0)]
    import torch

    return [Node(cores, torch.cuda.device_count())]


def _cluster() -> list[Node]:
    import ray

    from nowt.execution.ray_lifecycle import connected_ray

    with connected_ray(0, {}):
        found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(resources.get("CPU", 0), resources.get("GPU", 0)) for resources in found]
