"""``nowt cluster prepare``: makes what a cluster.yaml names before ``ray up``; again to change who may reach 22."""

from collections.abc import Callable

from nowt.cluster import iam_roles, key_pair, security_group
from nowt.cluster.aws import Account, account_of, asked, found
from nowt.cluster.checks import problems_of
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.iam_roles import role_steps
from nowt.cluster.key_pair import key_steps
from nowt.cluster.ray_token import token_steps
from nowt.cluster.security_group import Network, group_steps, networks
from nowt.cluster.steps import Step, carry_out

SSM = "resolve:ssm:"


def prepare(cluster: ClusterFile, ssh_from: str, yes: bool, say: Callable[[str], None]) -> int:
    """Make what is missing of security group, key pair, roles and token; the exit code.

    Raises ValueError for a file or account that cannot work, before anything is made.
    """
    allowed, account = networks(ssh_from), account_of(cluster)
    if problems := problems_of(cluster):
        raise ValueError(f"{cluster.path}: {problems[0]} (nowt doctor --cluster {cluster.path} lists all)")
    for line in asked(lambda: _seen(cluster, account)):
        say(line)
    steps = [*token_steps(), *asked(lambda: _steps(cluster, account, allowed))]
    if not steps:
        say(f"all that {cluster.path} names is there: ray up {cluster.path}")
        return 0
    if not asked(lambda: carry_out(steps, yes, say)):
        return 1
    say(f"Next, in a quarter of a minute (new roles take as long to reach EC2): ray up {cluster.path}")
    return 0


def _steps(cluster: ClusterFile, account: Account, allowed: list[Network]) -> list[Step]:
    return [*group_steps(cluster, account, allowed), *key_steps(cluster, account), *role_steps(cluster, account)]


def _seen(cluster: ClusterFile, account: Account) -> list[str]:
    """The bucket and the images, of which nothing is made. Raises ValueError where one is missing."""
    bucket = cluster.buckets[0]
    if found(lambda: account.s3.head_bucket(Bucket=bucket), "404", "NoSuchBucket") is None:
        raise ValueError(f"there is no bucket {bucket}: aws s3 mb s3://{bucket} --region {account.region}")
    images = {str(cluster.node_config(kind).get("ImageId", "")) for kind in cluster.types}
    return [f"bucket: s3://{bucket}", *(_image(account, image) for image in sorted(images))]


def _image(account: Account, image: str) -> str:
    if not image.startswith(SSM):
        return f"image: {image or 'the one that Ray chooses'}"
    name = image.removeprefix(SSM)
    answer = found(lambda: account.ssm.get_parameter(Name=name), "ParameterNotFound")
    if answer is None:
        raise ValueError(f"AWS offers no image {name} in {account.region}: name another as ImageId")
    return f"image: {answer['Parameter']['Value']} (write it as ImageId to keep this very one, driver included)"


ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]


def teardown(cluster: ClusterFile, yes: bool, say: Callable[[str], None]) -> int:
    """Remove security group, key pair, profiles and roles of this cluster; the exit code.

    Raises ValueError while a machine of the cluster is left.
    """
    account = account_of(cluster)
    if machines := asked(lambda: machines_of(cluster, account)):
        raise ValueError(f"{', '.join(machines)} of {cluster.name} still there: first ray down {cluster.path}")
    steps = asked(lambda: _removals(cluster, account))
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


def _removals(cluster: ClusterFile, account: Account) -> list[Step]:
    removals = (security_group.removal, key_pair.removal, iam_roles.removal)
    return [step for removal in removals for step in removal(cluster, account)]
