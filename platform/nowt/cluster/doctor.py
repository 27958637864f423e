"""``nowt doctor --cluster``: the file, the account, and the nodes where a cluster runs (RAY_ADDRESS)."""

import os
from collections.abc import Callable
from pathlib import Path

from nowt.cluster.aws import Account, account_of, asked
from nowt.cluster.checks import problems_of
from nowt.cluster.cluster_file import ClusterFile, documents_of, read_cluster
from nowt.cluster.iam_roles import role_steps
from nowt.cluster.kuberay import is_kuberay, kuberay_problems, outside
from nowt.cluster.security_group import group_problems
from nowt.core.findings import Finding, findings

DEFAULT = "cluster.yaml"


def examine_cluster(path: Path, data: str) -> list[Finding]:
    """A line for each thing that a cluster needs; ``data`` is the folder of the pictures on each node, or empty.

    Raises ValueError for a file that is missing or none, and where no cluster answers at RAY_ADDRESS.
    """
    running = bool(os.environ.get("RAY_ADDRESS"))
    missing = running and str(path) == DEFAULT and not path.exists()  # on a head, there may be none
    if not missing and is_kuberay(documents_of(path)):
        return _kuberay(path)
    cluster = None if missing else read_cluster(path)
    lines = _file(cluster) if cluster else []
    if not running:
        return [
            *lines,
            Finding("nodes", "not asked: RAY_ADDRESS names no running cluster (on its head: RAY_ADDRESS=auto)", "----"),
        ]
    from nowt.cluster.nodes import examine_nodes

    return [*lines, *examine_nodes(os.environ["RAY_ADDRESS"], cluster, data)]


def _file(cluster: ClusterFile) -> list[Finding]:
    problems = problems_of(cluster)
    lines = findings(str(cluster.path), problems, "passes Ray's validators, and nowt's own checks")
    return lines if problems or cluster.kind != "aws" else [*lines, *_account(cluster)]


def _kuberay(path: Path) -> list[Finding]:
    documents = documents_of(path)
    there = ", ".join(outside(documents))
    return [
        *findings(
            str(path), kuberay_problems(documents), "passes nowt's own checks (kubectl --dry-run=server does the rest)"
        ),
        *([Finding("namespace", f"not asked; it must hold: {there}", "----")] if there else []),
    ]


def _account(cluster: ClusterFile) -> list[Finding]:
    """What AWS says of the file; where it cannot be asked, that is what is wrong."""
    todo = f"changes are missing: nowt cluster prepare {cluster.path} --ssh-from YOUR.ADDRESS/32"

    def roles(account: Account) -> list[str]:
        missing = role_steps(cluster, account)
        return [f"{len(missing)} {todo}"] if missing else []

    return [
        *_asked(
            cluster,
            "security group",
            lambda account: group_problems(cluster, account),
            f"{cluster.group} is closed but to itself, and ssh from its users",
        ),
        *_asked(cluster, "roles", roles, "head and workers may do what the file is for, and no more"),
    ]


def _asked(cluster: ClusterFile, thing: str, ask: Callable[[Account], list[str]], fine: str) -> list[Finding]:
    try:
        account = account_of(cluster)
        problems = asked(lambda: ask(account))
    except ValueError as error:
        problems = [f"not known to be closed: {error}"]
    return findings(thing, problems, fine)
