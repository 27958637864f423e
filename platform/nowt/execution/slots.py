"""How many runs execute at the same time, and the share of a GPU that each gets.

The default is one run per GPU; without GPUs, as many runs as there are cores for. On this machine, the cores are those
that this process may use: its CPU affinity and the limits of its cgroup count. At ``RAY_ADDRESS``, they are the
cluster's.
"""

import math
from dataclasses import dataclass

from nowt.cluster.connection import LOCAL, ray_address
from nowt.config.placement import Placement


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
        found = default_slots(placement, *(_cluster_resources() if on_cluster else _local_resources(placement)))
    return Slots(found if most is None else min(found, most), place)


def default_slots(placement: Placement, cores: float, gpus: float) -> int:
    """Return how many runs these cores, and the GPUs if there are any, have room for; at least 1."""
    workers = placement.max_workers
    slots = cores // (placement.threads * workers)
    if gpus and placement.device != "cpu":
        slots = min(slots, gpus // (workers * (placement.gpus_per_worker or 1)))
    return max(1, int(slots))


def gpu_share(placement: Placement, gpus: float, slots: int) -> float:
    """Return the GPUs per run: those of ``placement``, or one; less only if there are more slots than GPUs.

    With 3 slots on 2 GPUs it is 1/2, so that all three find room.
    """
    if placement.device == "cpu" or not gpus:
        return placement.gpus_per_worker or 0.0
    return placement.gpus_per_worker or 1 / math.ceil(max(1.0, slots / gpus))


def _local_resources(placement: Placement) -> tuple[int, int]:
    """Return the cores that this process may use, and the GPUs that it sees."""
    import joblib

    cores = joblib.cpu_count()
    if placement.device == "cpu":
        return cores, 0
    import torch

    return cores, torch.cuda.device_count()


def _cluster_resources() -> tuple[float, float]:
    import ray

    from nowt.execution.ray_lifecycle import connected_ray

    with connected_ray(0, {}):
        found = ray.cluster_resources()
    return found.get("CPU", 0), found.get("GPU", 0)
