"""What is wrong with a cluster.yaml, found without a cloud: one sentence a mistake."""

import os
import re
from collections.abc import Callable, Iterator

from nowt.cluster.aws_checks import AWS_CHECKS
from nowt.cluster.cluster_file import ClusterFile, mapping
from nowt.cluster.validators import botocore_problems, ray_problems
from nowt.core.errors import nearest

TOKEN = "~/.ray/auth_token"

STARTS = ("head_start_ray_commands", "worker_start_ray_commands")

# provider keys that Ray 2.60 reads; any other it takes and ignores
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

# ports that a firewall must be able to name; without these options Ray takes any free one
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


def problems_of(cluster: ClusterFile) -> list[str]:
    """Every mistake in the file that can be seen without asking anyone, a sentence each."""
    if found := ray_problems(cluster):
        return found  # the rest would only say the same in other words
    checks = (
        *CHECKS,
        *(AWS_CHECKS if cluster.kind == "aws" else ()),
        *(LOCAL_CHECKS if cluster.kind == "local" else ()),
    )
    found = [problem for check in checks for problem in check(cluster)]
    return found + (botocore_problems(cluster) if cluster.kind == "aws" else [])


def _provider_keys(cluster: ClusterFile) -> Iterator[str]:
    known = PROVIDER_KEYS.get(cluster.kind)
    for key in cluster.provider if known else ():
        if known and key not in known:
            yield f"provider.{key} is nothing that Ray reads{nearest(key, known)}: it would be ignored"


def _maxima(cluster: ClusterFile) -> Iterator[str]:
    most = cluster.given.get("max_workers", 0)
    for name, kind in cluster.types.items():
        if kind.get("max_workers", 0) > most:
            yield f"node type {name} has max_workers {kind['max_workers']}, the whole cluster {most}: make them agree"
        if kind.get("min_workers", 0) > kind.get("max_workers", most):
            yield f"node type {name} has min_workers above its max_workers: lower it"


def _user(cluster: ClusterFile) -> Iterator[str]:
    if not mapping(cluster.given.get("auth")).get("ssh_user"):
        yield "auth.ssh_user is missing: name the account that the image is entered with, such as ubuntu"


def _mounts(cluster: ClusterFile) -> Iterator[str]:
    mounts = mapping(cluster.given.get("file_mounts"))
    sources = [str(here) for here in mounts.values() if here != TOKEN]
    if missing := [here for here in sources if not os.path.exists(os.path.expanduser(here))]:
        where = "" if len(missing) < len(sources) else ": cd to the repository first, ray up takes them from there"
        yield f"file_mounts: there is no {', '.join(missing)} in {os.getcwd()}{where}"
    if mounts.get(TOKEN) != TOKEN:
        yield f"file_mounts has no line {TOKEN}: {TOKEN}: without the token no node can join"


def _starts(cluster: ClusterFile) -> Iterator[str]:
    head, worker = ("\n".join(cluster.commands(key)) for key in STARTS)
    if "--autoscaling-config" not in head:
        yield "head_start_ray_commands lacks --autoscaling-config=~/ray_bootstrap_config.yaml: no worker would start"
    if "--dashboard-host=127.0.0.1" not in head:
        yield "head_start_ray_commands lacks --dashboard-host=127.0.0.1: the dashboard would answer others"
    for key, text in zip(STARTS, (head, worker), strict=True):
        yield from _start(key, text)


def _start(key: str, text: str) -> Iterator[str]:
    if "RAY_AUTH_MODE=token" not in text:
        yield f"{key} lacks RAY_AUTH_MODE=token before ray start: a node without the token would not be refused"
    missing = [f"--{port}" for port in PORTS if not re.search(rf"--{port}[= ]\d+", text)]
    if missing:
        yield f"{key} lacks {', '.join(missing)}: a firewall cannot name a port that Ray chooses"


def _version_one(cluster: ClusterFile) -> Iterator[str]:
    if "RAY_enable_autoscaler_v2=0" not in "\n".join(cluster.commands("head_start_ray_commands")):
        yield "head_start_ray_commands lacks RAY_enable_autoscaler_v2=0: Ray's newer autoscaler starts no local worker"


def _addresses(cluster: ClusterFile) -> Iterator[str]:
    if cluster.provider.get("head_ip") in (cluster.provider.get("worker_ips") or []):
        yield f"provider.worker_ips names the head, {cluster.provider['head_ip']}: leave it out there"


Check = Callable[[ClusterFile], Iterator[str]]

CHECKS: tuple[Check, ...] = (_provider_keys, _maxima, _user, _mounts, _starts)

LOCAL_CHECKS: tuple[Check, ...] = (_version_one, _addresses)
