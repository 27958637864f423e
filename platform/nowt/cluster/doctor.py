"""``nowt doctor --cluster``: checks the cluster file, the AWS account and, with RAY_ADDRESS, the running nodes."""

from collections.abc import Callable, Collection
from pathlib import Path

from nowt.cluster.aws import Account, account_of, call_aws
from nowt.cluster.checks import cluster_problems
from nowt.cluster.cluster_file import ClusterFile, load_documents, read_cluster
from nowt.cluster.connection import LOCAL, ray_address
from nowt.cluster.findings import Finding, findings
from nowt.cluster.iam_roles import role_steps
from nowt.cluster.kuberay import external_objects, is_kuberay, kuberay_problems
from nowt.cluster.security_group import group_problems

DEFAULT_FILE = "cluster.yaml"


def check_cluster(path: Path, data: str, ignored: Collection[str] = ()) -> list[Finding]:
    """Check everything that a cluster needs; ``data`` is the data folder on each node, or empty. Its files and folders
    with the names ``ignored``, in lower case, are not compared.

    Raises UserError if the file is missing or not a cluster file, or if no cluster answers at RAY_ADDRESS.
    """
    running = ray_address() != LOCAL
    default = path.absolute() == Path(DEFAULT_FILE).absolute()
    missing = running and default and not path.exists()  # on a head there may be no file
    if not missing and is_kuberay(load_documents(path)):
        return _check_kuberay(path)
    cluster = None if missing else read_cluster(path)
    lines = _check_file(cluster) if cluster else []
    if not running:
        return [
            *lines,
            Finding("nodes", "not checked: RAY_ADDRESS is not set (on the head, use RAY_ADDRESS=auto)", "skipped"),
        ]
    from nowt.cluster.nodes import check_nodes

    return [*lines, *check_nodes(ray_address(), cluster, data, ignored)]


def _check_file(cluster: ClusterFile) -> list[Finding]:
    problems = cluster_problems(cluster)
    lines = findings(str(cluster.path), problems, "passes the validators of Ray and nowt")
    return lines if problems or cluster.provider_type != "aws" else [*lines, *_check_account(cluster)]


def _check_kuberay(path: Path) -> list[Finding]:
    documents = load_documents(path)
    external = ", ".join(external_objects(documents))
    return [
        *findings(
            str(path), kuberay_problems(documents), "passes nowt's checks (kubectl --dry-run=server checks the rest)"
        ),
        *([Finding("namespace", f"not checked; it must contain: {external}", "skipped")] if external else []),
    ]


def _check_account(cluster: ClusterFile) -> list[Finding]:
    """Check the account's security group and roles; an account that cannot be reached is itself a finding."""
    todo = f"changes are missing: run nowt cluster prepare {cluster.path} --ssh-from YOUR.ADDRESS/32"

    def roles(account: Account) -> list[str]:
        missing = role_steps(cluster, account)
        return [f"{len(missing)} {todo}"] if missing else []

    return [
        *_check(
            cluster,
            "security group",
            lambda account: group_problems(cluster, account),
            f"{cluster.security_group} allows only its own nodes, and ssh from its users",
        ),
        *_check(cluster, "roles", roles, "head and workers have exactly the permissions that the file needs"),
    ]


def _check(cluster: ClusterFile, thing: str, find: Callable[[Account], list[str]], ok_message: str) -> list[Finding]:
    try:
        account = account_of(cluster)
        problems = call_aws(lambda: find(account))
    except ValueError as error:
        problems = [f"could not be checked: {error}"]
    return findings(thing, problems, ok_message)
