"""The nodes of a running cluster: each is asked by a Ray task of its own, and what they say is compared."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nowt.cluster import node_report as node_module
from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.core.findings import Finding, findings

PATIENCE = 120.0  # seconds that the nodes have to answer: a node's first worker may import for long

LOOKS = 3  # at each clock; the quickest answer counts

LOOK_SECONDS = 30.0  # for one

DRIFT = 1.0  # seconds by which clocks may differ: MLflow's points and S3's signatures need no better

ROOM = 5e9  # bytes that a node should have free for Ray's own files


@dataclass(frozen=True)
class Node:
    """What one node said: its address, what `describe` found, and by how many seconds its clock is off, at least."""

    address: str
    facts: dict[str, Any]
    drift: float


def examine_nodes(address: str, cluster: ClusterFile | None, data: str) -> list[Finding]:
    """A line for each thing that the nodes of the cluster at ``address`` must agree on or have."""
    import ray

    if "://" in address:
        raise ValueError(f"RAY_ADDRESS is {address}: it must be HOST:6379 or, on the head, auto")
    started = not ray.is_initialized()
    try:
        if started:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        table = ray.nodes()
        alive = {entry["NodeID"]: entry["NodeManagerAddress"] for entry in table if entry["Alive"]}
        dead = {entry["NodeManagerAddress"] for entry in table if not entry["Alive"]} - set(alive.values())
        nodes, silent = _ask(alive, data)
        groups = _groups()
    except (ConnectionError, ray.exceptions.RayError) as error:
        token = "is RAY_AUTH_MODE token, and ~/.ray/auth_token the cluster's?"
        raise ValueError(f"no Ray answers at {address}, {token} ({str(error).splitlines()[0]})") from None
    finally:
        if started:
            ray.shutdown()
    return [
        *compare(nodes, silent, data, cluster),
        *findings("nodes that are gone", lost(dead, cluster), "none to bring back"),
        *groups,
    ]


def compare(
    nodes: Sequence[Node], silent: Sequence[str], data: str, cluster: ClusterFile | None = None
) -> list[Finding]:
    """The lines on what the nodes of ``cluster`` said, and those that did not."""
    quiet = [f"{address} does not answer: ray up again, or look at it" for address in silent]
    gpus = sorted({name for node in nodes for name in node.facts["gpus"]})
    return [
        *findings("nodes", quiet, f"{len(nodes)} answer: {', '.join(node.address for node in nodes)}"),
        *findings("versions", _versions(nodes), "the same on all nodes"),
        *findings("clocks", _clocks(nodes), f"within {DRIFT:g} s of this machine's"),
        *findings("tokens", _tokens(nodes), "on every node, its owner's alone"),
        *findings(
            "free disk", _disks(nodes), f"{min((n.facts['free'] for n in nodes), default=0) / 1e9:.0f} GB or more"
        ),
        *findings(
            "pictures",
            _data(nodes, data, _again(cluster)) if data else (),
            f"{data} is on every node, the same" if data else "not asked: give --data-dir",
        ),
        *findings("GPUs of the nodes", _gpus(gpus), ", ".join(gpus) or "none"),
    ]


def _versions(nodes: Sequence[Node]) -> Iterator[str]:
    for package in ("python", *node_module.PACKAGES):
        found: dict[str, list[str]] = {}
        for node in nodes:
            found.setdefault(node.facts["versions"][package], []).append(node.address)
        if len(found) > 1:
            each = "; ".join(f"{version} on {', '.join(where)}" for version, where in sorted(found.items()))
            yield f"{package} is {each}: give all nodes the same requirements.lock (ray up again)"


def _clocks(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        if node.drift > DRIFT:
            yield f"{node.address} is at least {node.drift:.1f} s off: timedatectl set-ntp true on it"


def _tokens(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        if node.facts["token"]:
            yield f"{node.address}: {node.facts['token']}; the start commands set the one, file_mounts brings the other"


def _disks(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        if node.facts["free"] < ROOM:
            yield f"{node.address} has {node.facts['free'] / 1e9:.1f} GB free: make room, or give it a larger disk"


def _again(cluster: ClusterFile | None) -> str:
    """What brings a node its pictures: on AWS its set-up, elsewhere its owner."""
    if cluster and cluster.kind != "aws":
        return "copy the pictures to it"
    command = "bash ~/nowt/platform/clusters/aws/node.sh s3://BUCKET"
    return f"rm -f ~/data/.complete on it, then what setup_commands says ({command})"


def _data(nodes: Sequence[Node], data: str, again: str) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        found.setdefault(node.facts["data"], []).append(node.address)
    for address in found.pop("", ()):
        yield f"{address} has no {data}: {again}"
    if len(found) > 1:
        each = "; ".join(f"{names} on {', '.join(where)}" for names, where in sorted(found.items()))
        yield f"{data} is not the same on all nodes, {each}: where it is wrong, {again}"


def _gpus(names: Sequence[str]) -> Iterator[str]:
    models, drivers = ({name.rpartition(",")[part].strip() for name in names} for part in (0, 2))
    if len(models) > 1:
        yield (
            f"models {', '.join(sorted(models))}: the workers of a run need one, since B is compared bit for bit after "
            "each epoch: keep one in the cluster, or do without --workers"
        )
    if len(drivers) > 1:
        yield f"drivers {', '.join(sorted(drivers))}: start all nodes from one image (write its id as ImageId)"


def lost(dead: set[str], cluster: ClusterFile | None) -> Iterator[str]:
    """How to bring back each on-premise host that Ray has given up. A cloud's are replaced by themselves."""
    if cluster is None or cluster.kind != "local":
        return
    head, user = cluster.provider.get("head_ip", ""), mapping(cluster.given.get("auth")).get("ssh_user", "")
    start = " ".join("; ".join(cluster.commands("worker_start_ray_commands")).split()).replace("$RAY_HEAD_IP", head)
    for address in cluster.provider.get("worker_ips", []):
        if address in dead:
            yield f"{address} is lost to Ray: ssh {user}@{address} 'bash -lic \"{start}\"'"


def stale(groups: Sequence[Any], jobs: Sequence[Any]) -> Iterator[str]:
    """Placement groups whose job is over: what they hold, nobody else gets."""
    running = {job.job_id for job in jobs if str(job.status) in ("RUNNING", "PENDING")}
    for group in groups:
        if group.state != "REMOVED" and group.creator_job_id not in running:
            yield (
                f"{group.placement_group_id} holds resources for job {group.creator_job_id}, which is over: "
                "ray stop and ray start on the nodes (ray up again) frees them"
            )


def _groups() -> list[Finding]:
    from ray.util.state import list_jobs, list_placement_groups
    from ray.util.state.exception import RayStateApiException

    try:
        left = list(stale(list_placement_groups(limit=10_000), list_jobs(limit=10_000)))
    except (RayStateApiException, ConnectionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        return [
            Finding("placement groups", f"Ray's dashboard does not answer ({reason}): start the head with it", "WRONG")
        ]
    return findings("placement groups", left, "none is stale")


def _ask(alive: dict[str, str], data: str) -> tuple[list[Node], list[str]]:
    """Every node's answers, and the addresses of those that gave none."""
    import ray

    ray.cloudpickle.register_pickle_by_value(node_module)  # a node without nowt must be able to say so
    task = ray.remote(num_cpus=0, max_retries=0)(node_module.describe)
    try:
        tasks = {address: task.options(scheduling_strategy=_on(number)) for number, address in alive.items()}
        first = {tasks[address].remote(data): address for address in tasks}  # all nodes start a worker at a time
        ready, _ = ray.wait(list(first), num_returns=len(first), timeout=PATIENCE)
        nodes = [node for each in ready if (node := _look(tasks[first[each]], first[each], data))]
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_module)
    nodes.sort(key=lambda node: node.address)
    return nodes, sorted(set(alive.values()) - {node.address for node in nodes})


def _on(number: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(number, soft=False)


def _look(task: Any, address: str, data: str) -> Node | None:
    """What a node says that has a worker ready; None where it is gone meanwhile."""
    import ray

    drifts = []
    try:
        for _ in range(LOOKS):
            asked = time.time()
            facts = ray.get(task.remote(data), timeout=LOOK_SECONDS)
            drifts.append(_drift(asked, facts["clock"], time.time()))
    except (ray.exceptions.RayError, TimeoutError):
        return None
    return Node(address, facts, min(drifts))


def _drift(asked: float, clock: float, answered: float) -> float:
    """Seconds that a clock is off at the least: it was read at some moment between question and answer."""
    return max(0.0, asked - clock, clock - answered)
