"""``nowt cluster prepare`` and ``nowt cluster teardown``: creates and removes the AWS resources of a cluster.yaml.

Run ``prepare`` before ``ray up``, and again to change who may reach port 22.
"""

from nowt.cluster import iam_roles, key_pair, security_group
from nowt.cluster.aws import Account, account_of, call_aws, get_or_none
from nowt.cluster.checks import cluster_problems
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.iam_roles import role_steps
from nowt.cluster.key_pair import key_steps
from nowt.cluster.ray_token import token_steps
from nowt.cluster.security_group import Network, group_steps, networks
from nowt.cluster.steps import Step, apply_steps
from nowt.core.errors import Echo, UserError

SSM = "resolve:ssm:"


def prepare(cluster: ClusterFile, ssh_from: str, yes: bool, echo: Echo) -> int:
    """Create missing resources (security group, key pair, roles, token); return the exit code.

    Raises ValueError for a file or account that cannot work, before anything is created.
    """
    allowed, account = networks(ssh_from), account_of(cluster)
    if problems := cluster_problems(cluster):
        raise UserError(f"{cluster.path}: {problems[0]} (nowt doctor --cluster {cluster.path} lists all)")
    for line in call_aws(lambda: _bucket_and_images(cluster, account)):
        echo(line)
    steps = [*token_steps(), *call_aws(lambda: _steps(cluster, account, allowed))]
    if not steps:
        echo(f"everything in {cluster.path} exists. Next: ray up --no-config-cache {cluster.path}")
        return 0
    if not call_aws(lambda: apply_steps(steps, yes, echo)):
        return 1
    echo(f"Next, after 15 seconds (until EC2 knows the new roles): ray up --no-config-cache {cluster.path}")
    return 0


def _steps(cluster: ClusterFile, account: Account, allowed: list[Network]) -> list[Step]:
    return [*group_steps(cluster, account, allowed), *key_steps(cluster, account), *role_steps(cluster, account)]


def _bucket_and_images(cluster: ClusterFile, account: Account) -> list[str]:
    """Describe the bucket and the machine images, which must exist. Raises ValueError if one is missing."""
    bucket = cluster.buckets[0]
    if get_or_none(lambda: account.s3.head_bucket(Bucket=bucket), "404", "NoSuchBucket") is None:
        raise UserError(
            f"there is no bucket {bucket}; create it with aws s3 mb s3://{bucket} --region {account.region}"
        )
    images = {str(cluster.node_config(kind).get("ImageId", "")) for kind in cluster.node_types}
    return [f"bucket: s3://{bucket}", *(_image(account, image) for image in sorted(images))]


def _image(account: Account, image: str) -> str:
    if not image.startswith(SSM):
        return f"image: {image or 'chosen by Ray'}"
    name = image.removeprefix(SSM)
    answer = get_or_none(lambda: account.ssm.get_parameter(Name=name), "ParameterNotFound")
    if answer is None:
        raise UserError(f"AWS has no image {name} in {account.region}: set another ImageId")
    return f"image: {answer['Parameter']['Value']} (set it as ImageId to pin this image, including its driver)"


NOT_TERMINATED = ["pending", "running", "shutting-down", "stopping", "stopped"]


def teardown(cluster: ClusterFile, yes: bool, echo: Echo) -> int:
    """Remove security group, key pair, instance profiles and roles of this cluster; return the exit code.

    Raises ValueError while machines of the cluster exist.
    """
    account = account_of(cluster)
    if machines := call_aws(lambda: machines_of(cluster, account)):
        raise UserError(f"{', '.join(machines)} of {cluster.name} still exist: run ray down {cluster.path} first")
    steps = call_aws(lambda: _removals(cluster, account))
    if not steps:
        echo(f"nothing of {cluster.name} is left in {account.region}")
    elif not call_aws(lambda: apply_steps(steps, yes, echo)):
        return 1
    echo(f"kept: {', '.join(f's3://{bucket}' for bucket in cluster.buckets)} with your results, and Ray's token here")
    return 0


def machines_of(cluster: ClusterFile, account: Account) -> list[str]:
    """Return the ids of the cluster's machines that are not terminated."""
    filters = [
        {"Name": "tag:ray-cluster-name", "Values": [cluster.name]},
        {"Name": "instance-state-name", "Values": NOT_TERMINATED},
    ]
    pages = account.ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return [machine["InstanceId"] for page in pages for r in page["Reservations"] for machine in r["Instances"]]


def _removals(cluster: ClusterFile, account: Account) -> list[Step]:
    removals = (security_group.removal_steps, key_pair.removal_steps, iam_roles.removal_steps)
    return [step for removal in removals for step in removal(cluster, account)]
