"""The Ray that a study's work runs on: one of its own on this machine, or the cluster that RAY_ADDRESS names."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import ray
from ray._private.state import state
from ray._private.worker import global_worker
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION

from nowt.core.errors import require
from nowt.execution.preemption import metadata


@contextmanager
def joined(cores: int, environment: Mapping[str, str]) -> Iterator[None]:
    """A Ray of our own with so many cores, or the cluster that RAY_ADDRESS names; ``environment`` is Ray's settings."""
    os.environ.update(environment)
    address = os.environ.get("RAY_ADDRESS", "local")
    own = {"num_cpus": cores} if address == "local" else {}
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="ERROR", **own)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def refuse_missing_gpus(needed: float, who: str, less: str) -> None:
    """Raise ConfigError where this machine has fewer GPUs: Ray would wait for what never comes, but on a cluster, which
    may grow."""
    found = ray.cluster_resources().get("GPU", 0)
    require(
        needed <= found or "RAY_ADDRESS" in os.environ,
        f"{who} {needed:g} GPUs, and this machine has {found:g}: {less}, or --device cpu",
    )


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """The folder that Ray wants for itself, without what a killed driver of the same study left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def taken_away() -> tuple[Callable[[], bool], ...]:
    """What a process of a run asks whether its node is soon to go: Ray, which may have been told to drain it, and EC2.

    Ray has no public call for either, nor for telling it; ``ray drain-node`` does what is done here.
    """
    node, ec2 = ray.get_runtime_context().get_node_id(), metadata()

    def drained() -> bool:
        try:
            return node in state.get_draining_nodes()
        except ray.exceptions.RayError:  # it is asked again
            return False

    def reclaimed() -> bool:
        """Ray must know, too, or it would give this node the next worker."""
        at = ec2.ends_at() if ec2 is not None else None
        if at is None:
            return False
        with suppress(ray.exceptions.RayError):
            told = "EC2 takes the spot machine back"
            global_worker.gcs_client.drain_node(node, DRAIN_NODE_REASON_PREEMPTION, told, int(at * 1000))
        return True

    return (drained, reclaimed) if ec2 else (drained,)


# Seconds after which Ray ends this process where its server does not answer: on a loaded machine, its own 60 are too
# few. Read once, when ray is first imported.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "600")
