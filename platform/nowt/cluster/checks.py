"""Checks a cluster.yaml offline, and reports one sentence per mistake."""

import os
import re
from collections.abc import Callable, Iterator

from nowt.cluster.aws_checks import AWS_CHECKS
from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.validators import botocore_problems, ray_problems
from nowt.core.errors import did_you_mean

TOKEN = "~/.ray/auth_token"

START_COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")

# provider keys that Ray 2.60 reads; it ignores any other without an error
SHARED_KEYS = {"type", "disable_node_updaters", "disable_launch_config_check", "foreground_node_launch"}

PROVIDER_KEYS = {
    "aws": SHARED_KEYS
    | {
        "region",
        "availability_zone",
        "cache_stopped_nodes",
        "use_internal_ips",
        "use_external_head_ip",
        "security_group",
        "key_pair",
        "cloudwatch",
        "aws_credentials",
    },
    "local": SHARED_KEYS | {"head_ip", "worker_ips", "coordinator_address", "external_head_ip", "use_internal_ips"},
}

# ports that firewall rules must name; without these options Ray uses any free port
PORTS = (
    "node-manager-port",
    "object-manager-port",
    "runtime-env-agent-port",
    "dashboard-agent-grpc-port",
    "dashboard-agent-listen-port",
    "metrics-export-port",
    "min-worker-port",
    "max-worker-port",
)


def cluster_problems(cluster: ClusterFile) -> list[str]:
    """Return every mistake that can be found without a network, one sentence each."""
    if found := ray_problems(cluster):
        return found  # the other checks would only repeat it
    checks = (
        *CHECKS,
        *(AWS_CHECKS if cluster.provider_type == "aws" else ()),
        *(LOCAL_CHECKS if cluster.provider_type == "local" else ()),
    )
    found = [problem for check in checks for problem in check(cluster)]
    return found + (botocore_problems(cluster) if cluster.provider_type == "aws" else [])


def _provider_keys(cluster: ClusterFile) -> Iterator[str]:
    known = PROVIDER_KEYS.get(cluster.provider_type)
    for key in cluster.provider if known else ():
        if known and key not in known:
            yield f"provider.{key} is not a key of Ray{did_you_mean(key, known)}: Ray would ignore it"


def _maxima(cluster: ClusterFile) -> Iterator[str]:
    limit = cluster.config.get("max_workers", 0)
    for name, kind in cluster.node_types.items():
        if kind.get("max_workers", 0) > limit:
            yield f"node type {name} has max_workers {kind['max_workers']}, the cluster {limit}: make them agree"
        if kind.get("min_workers", 0) > kind.get("max_workers", limit):
            yield f"node type {name} has min_workers above its max_workers: lower it"


def _user(cluster: ClusterFile) -> Iterator[str]:
    if not mapping(cluster.config.get("auth")).get("ssh_user"):
        yield "auth.ssh_user is missing: set it to the login account of the image, such as ubuntu"


def _mounts(cluster: ClusterFile) -> Iterator[str]:
    mounts = mapping(cluster.config.get("file_mounts"))
    sources = [str(path) for path in mounts.values() if path != TOKEN]
    if missing := [path for path in sources if not os.path.exists(os.path.expanduser(path))]:
        hint = "" if len(missing) < len(sources) else ": cd to the repository first; ray up reads them from there"
        yield f"file_mounts: {', '.join(missing)} does not exist in {os.getcwd()}{hint}"
    if mounts.get(TOKEN) != TOKEN:
        yield f"file_mounts has no line {TOKEN}: {TOKEN}. Without it no node can join"


def _starts(cluster: ClusterFile) -> Iterator[str]:
    head, worker = ("\n".join(cluster.commands(key)) for key in START_COMMANDS)
    if "--autoscaling-config" not in head:
        yield "head_start_ray_commands lacks --autoscaling-config=~/ray_bootstrap_config.yaml: no worker would start"
    if "--dashboard-host=127.0.0.1" not in head:
        yield "head_start_ray_commands lacks --dashboard-host=127.0.0.1: otherwise other hosts can open the dashboard"
    for key, text in zip(START_COMMANDS, (head, worker), strict=True):
        yield from _start(key, text)


def _start(key: str, text: str) -> Iterator[str]:
    if "RAY_AUTH_MODE=token" not in text:
        yield f"{key} lacks RAY_AUTH_MODE=token before ray start: otherwise nodes without the token can join"
    missing = [f"--{port}" for port in PORTS if not re.search(rf"--{port}[= ]\d+", text)]
    if missing:
        yield f"{key} lacks {', '.join(missing)}: firewall rules cannot name a port that Ray chooses itself"


def _autoscaler_version(cluster: ClusterFile) -> Iterator[str]:
    if "RAY_enable_autoscaler_v2=0" not in "\n".join(cluster.commands("head_start_ray_commands")):
        yield "head_start_ray_commands lacks RAY_enable_autoscaler_v2=0: Ray's newer autoscaler starts no local worker"


def _addresses(cluster: ClusterFile) -> Iterator[str]:
    if cluster.provider.get("head_ip") in (cluster.provider.get("worker_ips") or []):
        yield f"provider.worker_ips contains the head, {cluster.provider['head_ip']}: remove it"


Check = Callable[[ClusterFile], Iterator[str]]

CHECKS: tuple[Check, ...] = (_provider_keys, _maxima, _user, _mounts, _starts)

LOCAL_CHECKS: tuple[Check, ...] = (_autoscaler_version, _addresses)
