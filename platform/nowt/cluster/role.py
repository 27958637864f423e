"""What the machines may do: a role and an instance profile of one name for the head, and others for the workers."""

import json
from collections.abc import Iterator
from typing import Any

from nowt.cluster.aws import Account, found
from nowt.cluster.file import ClusterFile
from nowt.cluster.group import OURS, tags_of
from nowt.cluster.step import Step

POLICY = "nowt"  # the name of the one policy that each role holds
ABSENT = "NoSuchEntity"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def profiles_of(cluster: ClusterFile) -> dict[str, bool]:
    """Every profile that the file names, and whether it is the head's."""
    named = {cluster.profile(kind): kind == cluster.head_type for kind in cluster.types}
    return {name: head for name, head in named.items() if name}


def policy_of(cluster: ClusterFile, head: bool) -> dict[str, Any]:
    """What a machine may do: read data/ and keep checkpoints/ of the bucket; the head keeps store/, too, and starts and
    ends this cluster's machines."""
    bucket = f"arn:aws:s3:::{cluster.buckets[0]}"
    kept = [f"{bucket}/checkpoints/*", *([f"{bucket}/store/*"] if head else [])]
    statements = [
        _allow(["s3:ListBucket"], [bucket]),
        _allow(["s3:GetObject"], [f"{bucket}/data/*", *kept]),
        _allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], kept),
    ]
    return {"Version": "2012-10-17", "Statement": [*statements, *(_machines(cluster) if head else ())]}


def _machines(cluster: ClusterFile) -> Iterator[dict[str, Any]]:
    """What Ray's autoscaler does on the head: in this region, with these workers' role, to this cluster's machines."""
    here = {"StringEquals": {"aws:RequestedRegion": cluster.region}}
    own = {"StringEquals": {"aws:ResourceTag/ray-cluster-name": cluster.name}}
    new = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
    workers = [f"arn:aws:iam::*:role/{name}" for name, head in profiles_of(cluster).items() if not head]
    spot = "arn:aws:iam::*:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    images = f"arn:aws:ssm:{cluster.region}::parameter/aws/service/*"
    seen = ["Instances", "InstanceStatus", "InstanceTypes", "Images", "SecurityGroups", "Subnets", "Vpcs"]
    yield _allow([f"ec2:Describe{things}" for things in seen], ["*"])
    yield _allow(["ec2:RunInstances"], ["*"], here)
    yield _allow(["ec2:CreateTags"], ["*"], new)
    yield _allow(["ec2:CreateTags", "ec2:TerminateInstances"], ["*"], own)
    yield _allow(["iam:PassRole"], workers)
    yield _allow(["iam:CreateServiceLinkedRole"], [spot])  # AWS asks for it at an account's first spot machine
    yield _allow(["ssm:GetParameters"], [images])  # the image's name instead of its id


def _allow(actions: list[str], resources: list[str], condition: dict[str, Any] | None = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, **({"Condition": condition} if condition else {})}


def role_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until every profile that the file names is there, with its role and exactly its policy."""
    return [step for name, head in profiles_of(cluster).items() for step in _role(cluster, account, name, head)]


def _role(cluster: ClusterFile, account: Account, name: str, head: bool) -> Iterator[Step]:
    iam, wanted = account.iam, policy_of(cluster, head)
    may = "start and end this cluster's machines, read data/, keep checkpoints/ and store/"
    may = f"{may if head else 'read data/, keep checkpoints/'} of {cluster.buckets[0]}"
    tags = [{"Key": OURS, "Value": cluster.name}]
    if _get_role(account, name) is None:
        trust = json.dumps(TRUST)
        yield Step(
            f"make the role {name}",
            lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags),
        )
    if _policy(account, name) != wanted:
        text = json.dumps(wanted)
        yield Step(
            f"let the role {name} {may}",
            lambda: iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=text),
        )
    profile = _get_profile(account, name)
    if profile is None:
        yield Step(
            f"make the instance profile {name}",
            lambda: iam.create_instance_profile(InstanceProfileName=name, Tags=tags),
        )
    if profile is None or name not in _roles_in(profile):
        yield Step(
            f"put the role {name} into it",
            lambda: iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name),
        )


def removal(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until no profile and role that prepare made for this cluster is left."""
    return [step for name in profiles_of(cluster) for step in _gone(cluster, account, name)]


def _gone(cluster: ClusterFile, account: Account, name: str) -> Iterator[Step]:
    iam, profile, role = account.iam, _get_profile(account, name), _get_role(account, name)
    if profile is not None and tags_of(profile).get(OURS) == cluster.name:
        for inside in _roles_in(profile):
            yield Step(
                f"take the role {inside} out of the instance profile {name}",
                lambda: iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name),
            )
        yield Step(f"delete the instance profile {name}", lambda: iam.delete_instance_profile(InstanceProfileName=name))
    if role is not None and tags_of(role).get(OURS) == cluster.name:
        if _policy(account, name) is not None:
            yield Step(
                f"delete what the role {name} may do",
                lambda: iam.delete_role_policy(RoleName=name, PolicyName=POLICY),
            )
        yield Step(f"delete the role {name}", lambda: iam.delete_role(RoleName=name))


def _get_role(account: Account, name: str) -> dict[str, Any] | None:
    return found(lambda: dict(account.iam.get_role(RoleName=name)["Role"]), ABSENT)


def _get_profile(account: Account, name: str) -> dict[str, Any] | None:
    return found(lambda: dict(account.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]), ABSENT)


def _roles_in(profile: dict[str, Any]) -> list[str]:
    return [role["RoleName"] for role in profile["Roles"]]


def _policy(account: Account, name: str) -> Any:
    """The role's policy as data (boto3 decodes it); None where there is none."""
    return found(lambda: account.iam.get_role_policy(RoleName=name, PolicyName=POLICY)["PolicyDocument"], ABSENT)
