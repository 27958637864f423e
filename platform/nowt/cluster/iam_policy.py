"""IAM policy documents for the machines of a cluster.yaml, derived from the file alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from nowt.cluster.cluster_file import ClusterFile

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

# resources besides the instance that launching a machine creates or uses
LAUNCH_RESOURCES = (
    "image",
    "key-pair",
    "network-interface",
    "security-group",
    "snapshot",
    "spot-instances-request",
    "subnet",
    "volume",
)

DESCRIBED = ("Instances", "InstanceStatus", "InstanceTypes", "Images", "SecurityGroups", "Subnets", "Vpcs")


def profiles_of(cluster: ClusterFile) -> dict[str, bool]:
    """Return every instance profile in the file, and whether it is the head's."""
    named = {cluster.instance_profile(kind): kind == cluster.head_type for kind in cluster.node_types}
    return {name: head for name, head in named.items() if name}


def policy_of(cluster: ClusterFile, head: bool) -> dict[str, Any]:
    """Return the policy of a machine. Workers read data/ and write checkpoints/ in the bucket.

    The head also writes store/, starts and terminates machines of this cluster, and reads the policies of its roles.
    """
    bucket, kept = f"arn:aws:s3:::{cluster.buckets[0]}", ["checkpoints", *(["store"] if head else [])]
    listed = {"StringLike": {"s3:prefix": ["data/*", *(f"{folder}/*" for folder in kept)]}}
    own = [f"{bucket}/{folder}/*" for folder in kept]
    statements = [
        _allow(["s3:ListBucket"], [bucket], listed),
        _allow(["s3:GetObject"], [f"{bucket}/data/*", *own]),
        _allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], own),
    ]
    more = (*_machines(cluster), *_roles(cluster)) if head else ()
    return {"Version": "2012-10-17", "Statement": [*statements, *more]}


def _machines(cluster: ClusterFile) -> Iterator[dict[str, Any]]:
    """Permissions of Ray's autoscaler on the head.

    It may start machines of the worker types with the cluster's tag and the workers' role, and terminate machines
    that have the tag.
    """
    here, tag = f"arn:aws:ec2:{cluster.region}:*", "ray-cluster-name"
    workers = [kind for kind in cluster.node_types if kind != cluster.head_type]
    types = sorted({str(cluster.node_config(kind).get("InstanceType", "")) for kind in workers})
    new = {f"aws:RequestTag/{tag}": cluster.name, "ec2:InstanceType": types}
    roles = [f"arn:aws:iam::*:role/{name}" for name, head in profiles_of(cluster).items() if not head]
    spot = "arn:aws:iam::*:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    images = f"arn:aws:ssm:{cluster.region}::parameter/aws/service/*"
    yield _allow([f"ec2:Describe{things}" for things in DESCRIBED], ["*"])
    yield _allow(["ec2:RunInstances"], [f"{here}:instance/*"], _equal(new))
    yield _allow(["ec2:RunInstances"], [f"{here}:{resource}/*" for resource in LAUNCH_RESOURCES])
    yield _allow(["ec2:CreateTags"], [f"{here}:*"], _equal({"ec2:CreateAction": "RunInstances"}))
    own = _equal({f"aws:ResourceTag/{tag}": cluster.name})
    yield _allow(["ec2:CreateTags", "ec2:TerminateInstances"], [f"{here}:instance/*"], own)
    yield _allow(["iam:PassRole"], roles, _equal({"iam:PassedToService": "ec2.amazonaws.com"}))
    yield _allow(["iam:CreateServiceLinkedRole"], [spot])  # required for an account's first spot machine
    yield _allow(["ssm:GetParameters"], [images])  # resolves an image name to its id


def _roles(cluster: ClusterFile) -> Iterator[dict[str, Any]]:
    """Permissions of ``nowt doctor --cluster`` on the head."""
    named = profiles_of(cluster)
    roles, profiles = ([f"arn:aws:iam::*:{kind}/{name}" for name in named] for kind in ("role", "instance-profile"))
    yield _allow(["iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"], roles)
    yield _allow(["iam:GetInstanceProfile"], profiles)


def _equal(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {"StringEquals": wanted}


def _allow(actions: list[str], resources: list[str], condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, **({"Condition": condition} if condition else {})}
