"""Checks the nodes of a running cluster: a Ray task on each reports its state, and the reports are compared."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from nowt.cluster import node_images, node_report
from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.connection import connected, unanswered
from nowt.cluster.findings import Finding, findings
from nowt.cluster.image_comparison import compare_images

NODE_TIMEOUT = 120.0  # seconds; the first worker of a node may take long to import

CLOCK_SAMPLES = 3  # per node; the smallest bound counts

SAMPLE_TIMEOUT = 30.0  # seconds for one sample

IMAGE_SECONDS = 20.0  # for which each node reads contents of images; all nodes at the same time

IMAGE_TIMEOUT = 300.0  # seconds in which a node must have listed its images and read some

MAX_DRIFT = 1.0  # seconds; enough for MLflow's time axis and S3's signatures

MIN_FREE = 5e9  # bytes of disk space, for Ray's own files


@dataclass(frozen=True)
class NodeReport:
    """The report of one node: address, result of ``describe``, and a lower bound on its clock drift in seconds."""

    address: str
    facts: dict[str, Any]
    drift: float
    images: dict[str, Any] | None = None  # result of ``describe_images``


def check_nodes(address: str, cluster: ClusterFile | None, data: str, ignored: Collection[str] = ()) -> list[Finding]:
    """Check everything that the nodes of the cluster at ``address`` must have or agree on; ``data`` and ``ignored`` are
    those of ``check_cluster``."""
    import ray

    with connected(address):
        try:
            table = ray.nodes()
            alive = {entry["NodeID"]: entry["NodeManagerAddress"] for entry in table if entry["Alive"]}
            dead = {entry["NodeManagerAddress"] for entry in table if not entry["Alive"]} - set(alive.values())
            nodes, silent = _collect(alive, data, ignored)
            groups = _check_placement_groups()
        except (ConnectionError, ray.exceptions.RayError) as error:
            raise unanswered(address, error) from error
    return [
        *compare(nodes, silent, data, cluster),
        *findings("lost nodes", lost_nodes(dead, cluster), "none to restart"),
        *groups,
    ]


def compare(
    nodes: Sequence[NodeReport], silent: Sequence[str], data: str, cluster: ClusterFile | None = None
) -> list[Finding]:
    """Compare the reports of the nodes; ``silent`` are the addresses of those that sent none."""
    unanswered = [f"{address} does not answer: run ray up again, or log in to it" for address in silent]
    gpus = sorted({name for node in nodes for name in node.facts["gpus"]})
    return [
        *findings("nodes", unanswered, f"{len(nodes)} answer: {', '.join(node.address for node in nodes)}"),
        *findings("versions", _versions(nodes), "the same on all nodes"),
        *findings("clocks", _clocks(nodes), f"within {MAX_DRIFT:g} s of this machine's"),
        *findings("tokens", _tokens(nodes), "on every node, readable only by its owner"),
        *findings(
            "free disk", _disks(nodes), f"{min((n.facts['free'] for n in nodes), default=0) / 1e9:.0f} GB or more"
        ),
        *_images(nodes, data, _how_to_copy(cluster)),
        *findings("GPUs of the nodes", _gpus(gpus), ", ".join(gpus) or "none"),
    ]


def _versions(nodes: Sequence[NodeReport]) -> Iterator[str]:
    for package in ("python", *node_report.PACKAGES):
        found: dict[str, list[str]] = {}
        for node in nodes:
            found.setdefault(node.facts["versions"][package], []).append(node.address)
        if len(found) > 1:
            each = "; ".join(f"{version} on {', '.join(where)}" for version, where in sorted(found.items()))
            yield f"{package} is {each}: install the same requirements.lock on all nodes (run ray up again)"


def _clocks(nodes: Sequence[NodeReport]) -> Iterator[str]:
    for node in nodes:
        if node.drift > MAX_DRIFT:
            yield f"{node.address} is at least {node.drift:.1f} s off: run timedatectl set-ntp true on it"


def _tokens(nodes: Sequence[NodeReport]) -> Iterator[str]:
    for node in nodes:
        if node.facts["token"]:
            yield f"{node.address}: {node.facts['token']}; start commands set the mode, file_mounts copies the token"


def _disks(nodes: Sequence[NodeReport]) -> Iterator[str]:
    for node in nodes:
        if node.facts["free"] < MIN_FREE:
            yield f"{node.address} has {node.facts['free'] / 1e9:.1f} GB free: free space, or give it a larger disk"


def _how_to_copy(cluster: ClusterFile | None) -> str:
    """Return how to copy the images to a node: on AWS with its setup script, elsewhere by hand."""
    if cluster and cluster.provider_type != "aws":
        return "copy the images to it"
    command = "bash ~/nowt/platform/clusters/aws/node.sh s3://BUCKET"
    return f"run rm -f ~/data/.complete on it, then the command in setup_commands ({command})"


def _images(nodes: Sequence[NodeReport], data: str, how_to_copy: str) -> list[Finding]:
    if not data:
        return [Finding("images", "not compared: add --data-dir", "skipped")]
    return compare_images({node.address: node.images for node in nodes}, data, how_to_copy, IMAGE_TIMEOUT)


def _gpus(names: Sequence[str]) -> Iterator[str]:
    models, drivers = ({name.rpartition(",")[part].strip() for name in names} for part in (0, 2))
    if len(models) > 1:
        yield (
            f"models {', '.join(sorted(models))}: the workers of a run need one model, because B is compared bit for "
            "bit after each epoch. Keep one model in the cluster, or do not use --workers"
        )
    if len(drivers) > 1:
        yield f"drivers {', '.join(sorted(drivers))}: start all nodes from the same image (set its id as ImageId)"


def lost_nodes(dead: set[str], cluster: ClusterFile | None) -> Iterator[str]:
    """Yield how to restart each on-premise host that Ray has given up. Cloud nodes are replaced automatically."""
    if cluster is None or cluster.provider_type != "local":
        return
    head, user = cluster.provider.get("head_ip", ""), mapping(cluster.config.get("auth")).get("ssh_user", "")
    start = " ".join("; ".join(cluster.commands("worker_start_ray_commands")).split()).replace("$RAY_HEAD_IP", head)
    for address in cluster.provider.get("worker_ips", []):
        if address in dead:
            yield f"{address} has left the cluster; restart it with: ssh {user}@{address} 'bash -lic \"{start}\"'"


def stale_placement_groups(groups: Sequence[Any], jobs: Sequence[Any]) -> Iterator[str]:
    """Yield the placement groups whose job has ended: their resources are not available to anyone else."""
    running = {job.job_id for job in jobs if str(job.status) in ("RUNNING", "PENDING")}
    for group in groups:
        if group.state != "REMOVED" and group.creator_job_id not in running:
            yield (
                f"{group.placement_group_id} holds resources for job {group.creator_job_id}, which has ended: "
                "free them with ray stop and ray start on the nodes (run ray up again)"
            )


def _check_placement_groups() -> list[Finding]:
    from ray.util.state import list_jobs, list_placement_groups
    from ray.util.state.exception import RayStateApiException

    try:
        stale = list(stale_placement_groups(list_placement_groups(limit=10_000), list_jobs(limit=10_000)))
    except (RayStateApiException, ConnectionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        return [
            Finding(
                "placement groups",
                f"Ray's dashboard does not answer ({reason}): start the head with the dashboard",
                "failed",
            )
        ]
    return findings("placement groups", stale, "none is stale")


def _collect(alive: dict[str, str], data: str, ignored: Collection[str]) -> tuple[list[NodeReport], list[str]]:
    """Return the reports of all nodes, and the addresses of those that sent none."""
    import ray

    for module in (node_report, node_images):  # so that a node without nowt can report that
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        describe = _on_each(node_report.describe, alive)
        first = {task.remote(): address for address, task in describe.items()}  # all nodes start a worker at once
        ready, _ = ray.wait(list(first), num_returns=len(first), timeout=NODE_TIMEOUT)
        nodes = [node for each in ready if (node := _query(describe[first[each]], first[each]))]
        answered = {node.address for node in nodes}
        there = {number: address for number, address in alive.items() if address in answered}
        images = _list_images(there, data, ignored) if data else {}
    finally:
        for module in (node_report, node_images):
            ray.cloudpickle.unregister_pickle_by_value(module)
    nodes = sorted((replace(node, images=images.get(node.address)) for node in nodes), key=lambda node: node.address)
    return nodes, sorted(set(alive.values()) - {node.address for node in nodes})


def _on_each(function: Callable[..., Any], alive: dict[str, str]) -> dict[str, Any]:
    """Return a task that calls the function on each node, by the node's address."""
    import ray

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    return {address: task.options(scheduling_strategy=_pin_to(number)) for number, address in alive.items()}


def _list_images(alive: dict[str, str], data: str, ignored: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return what each node reports of its images, by its address, unless it takes too long or is lost."""
    import ray

    tasks = _on_each(node_images.describe_images, alive)
    running = {task.remote(data, ignored, IMAGE_SECONDS): address for address, task in tasks.items()}
    ready, late = ray.wait(list(running), num_returns=len(running), timeout=IMAGE_TIMEOUT)
    found = {}
    for each in ready:
        with suppress(ray.exceptions.RayError):
            found[running[each]] = ray.get(each)
    for each in late:
        ray.cancel(each, force=True)
    return found


def _pin_to(number: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(number, soft=False)


def _query(task: Any, address: str) -> NodeReport | None:
    """Return the report of a node whose worker is ready; None if the node was lost in the meantime."""
    import ray

    drifts = []
    try:
        for _ in range(CLOCK_SAMPLES):
            sent = time.time()
            facts = ray.get(task.remote(), timeout=SAMPLE_TIMEOUT)
            drifts.append(_drift(sent, facts["clock"], time.time()))
    except (ray.exceptions.RayError, TimeoutError):
        return None
    return NodeReport(address, facts, min(drifts))


def _drift(sent: float, clock: float, received: float) -> float:
    """Lower bound in seconds on a clock's drift: it was read between sending the request and receiving the answer."""
    return max(0.0, sent - clock, clock - received)
