"""``nowt cluster teardown``: removes what ``ray down`` leaves behind of what prepare made."""

from collections.abc import Callable

from nowt.cluster import group, key, role
from nowt.cluster.aws import Account, account_of, asked
from nowt.cluster.file import ClusterFile
from nowt.cluster.step import Step, carry_out

ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]


def teardown(cluster: ClusterFile, yes: bool, say: Callable[[str], None]) -> int:
    """Remove security group, key pair, profiles and roles of this cluster; the exit code.

    Raises ValueError while a machine of the cluster is left.
    """
    account = account_of(cluster)
    if machines := asked(lambda: machines_of(cluster, account)):
        raise ValueError(f"{', '.join(machines)} of {cluster.name} still there: first ray down {cluster.path}")
    steps = asked(lambda: _steps(cluster, account))
    if not steps:
        say(f"nothing is left of {cluster.name} in {account.region}")
    elif not asked(lambda: carry_out(steps, yes, say)):
        return 1
    say(f"kept: {', '.join(f's3://{bucket}' for bucket in cluster.buckets)} with your results, and Ray's token here")
    return 0


def machines_of(cluster: ClusterFile, account: Account) -> list[str]:
    """The machines of the cluster that are not gone."""
    filters = [
        {"Name": "tag:ray-cluster-name", "Values": [cluster.name]},
        {"Name": "instance-state-name", "Values": ALIVE},
    ]
    pages = account.ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return [machine["InstanceId"] for page in pages for r in page["Reservations"] for machine in r["Instances"]]


def _steps(cluster: ClusterFile, account: Account) -> list[Step]:
    removals = (group.removal, key.removal, role.removal)
    return [step for removal in removals for step in removal(cluster, account)]
