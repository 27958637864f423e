"""The Ray that a study runs on: a local one that it starts, or the cluster that RAY_ADDRESS names."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import ray

from nowt.cluster.connection import LOCAL, connected, ray_address
from nowt.cluster.ray_internals import drain_node, draining_nodes, extend_server_timeout
from nowt.core.errors import AccessError, require
from nowt.core.formatting import counted
from nowt.execution.preemption import instance_metadata

extend_server_timeout()


@contextmanager
def connected_ray(cores: int, settings: Mapping[str, str]) -> Iterator[None]:
    """Start a local Ray with this number of cores, or connect to the cluster that RAY_ADDRESS names. ``settings`` are
    environment variables for Ray. Raises UserError if no Ray answers at RAY_ADDRESS."""
    os.environ.update(settings)
    address = ray_address()
    local = {"num_cpus": cores} if address == LOCAL else {}
    with connected(address, include_dashboard=False, **local):
        yield


def check_gpus(needed: float, subject: str, advice: str) -> None:
    """Raise ConfigError if this machine has fewer GPUs than ``needed``; otherwise Ray would wait forever. A cluster is
    not checked, since it may grow."""
    found = ray.cluster_resources().get("GPU", 0)
    require(
        needed <= found or ray_address() != LOCAL,
        f"{subject} {counted(f'{needed:g}', 'GPU')}, and this machine has {found:g}: use {advice}, or --device cpu",
    )


def connection_lost(error: Exception) -> AccessError:
    """Return the error of a study during which Ray itself failed: one line, with the first line of ``error``."""
    reason = str(error).strip().partition("\n")[0]
    return AccessError(
        f"lost the connection to Ray ({reason}); run the same command again to resume from the checkpoints"
    )


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder for Ray's own files. It is removed at the end, and before, in case a killed process of the same
    study has left files there."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def preemption_sources() -> tuple[Callable[[], bool], ...]:
    """Return functions that check whether this process's node will be preempted: one asks Ray and, on an EC2 machine,
    another asks EC2."""
    node, ec2 = ray.get_runtime_context().get_node_id(), instance_metadata()

    def drained() -> bool:
        try:
            return node in draining_nodes()
        except ray.exceptions.RayError:  # it is polled again
            return False

    def reclaimed() -> bool:
        """Return whether EC2 will reclaim this instance. If so, notify Ray, which would otherwise place the next worker
        here."""
        deadline = ec2.terminates_at() if ec2 is not None else None
        if deadline is None:
            return False
        with suppress(ray.exceptions.RayError):
            drain_node(node, "EC2 reclaims this spot instance", deadline)
        return True

    return (drained, reclaimed) if ec2 else (drained,)
