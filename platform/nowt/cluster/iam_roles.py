"""Roles and instance profiles: one of each, of one name, for the head, and others for the workers."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from nowt.cluster.aws import Account, found
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.iam_policy import TRUST, policy_of, profiles_of
from nowt.cluster.security_group import OURS, tags_of
from nowt.cluster.steps import Step

POLICY = "nowt"  # the name of the one policy that each role holds

ABSENT = "NoSuchEntity"


def role_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until every profile that the file names is there, with its role and exactly its policy.

    Raises ValueError for a role or profile of such a name that was not made for this cluster.
    """
    return [
        step
        for name, head in profiles_of(cluster).items()
        for step in (*_role(cluster, account, name, head), *_profile(cluster, account, name))
    ]


def _role(cluster: ClusterFile, account: Account, name: str, head: bool) -> Iterator[Step]:
    iam, role, wanted = account.iam, _get_role(account, name), policy_of(cluster, head)
    trust, policy = json.dumps(TRUST), json.dumps(wanted)
    if role is None:
        make = {"RoleName": name, "AssumeRolePolicyDocument": trust, "Tags": _tags(cluster)}
        yield Step(f"make the role {name}", lambda: iam.create_role(**make))
    else:
        _must_be_ours(cluster, "a role", name, role)
        yield from _surplus(account, name)
        if role["AssumeRolePolicyDocument"] != TRUST:
            yield Step(
                f"give the role {name} to EC2's machines alone",
                lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust),
            )
    if _policy(account, name) != wanted:
        may = "start and end this cluster's machines, read data/, keep checkpoints/ and store/"
        may = f"{may if head else 'read data/, keep checkpoints/'} of {cluster.buckets[0]}"
        yield Step(
            f"let the role {name} {may}",
            lambda: iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=policy),
        )


def _surplus(account: Account, name: str) -> Iterator[Step]:
    """What is to do until a role may do nothing beside its one policy."""
    iam = account.iam
    for other in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        if other != POLICY:
            yield Step(
                f"delete what {other} lets the role {name} do",
                partial(iam.delete_role_policy, RoleName=name, PolicyName=other),
            )
    for other in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        yield Step(
            f"take {other['PolicyName']} from the role {name}",
            partial(iam.detach_role_policy, RoleName=name, PolicyArn=other["PolicyArn"]),
        )


def _profile(cluster: ClusterFile, account: Account, name: str) -> Iterator[Step]:
    iam, profile = account.iam, _get_profile(account, name)
    if profile is None:
        yield Step(
            f"make the instance profile {name}",
            lambda: iam.create_instance_profile(InstanceProfileName=name, Tags=_tags(cluster)),
        )
    else:
        _must_be_ours(cluster, "an instance profile", name, profile)
        yield from _emptied(account, profile, but=name)
    if profile is None or name not in _roles_in(profile):
        yield Step(
            f"put the role {name} into it",
            lambda: iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name),
        )


def _emptied(account: Account, profile: dict[str, Any], but: str = "") -> Iterator[Step]:
    """What is to do until a profile holds no role but one."""
    name, take_out = profile["InstanceProfileName"], account.iam.remove_role_from_instance_profile
    for inside in _roles_in(profile):
        if inside != but:
            yield Step(
                f"take the role {inside} out of the instance profile {name}",
                partial(take_out, InstanceProfileName=name, RoleName=inside),
            )


def _must_be_ours(cluster: ClusterFile, what: str, name: str, thing: dict[str, Any]) -> None:
    if tags_of(thing).get(OURS) != cluster.name:
        raise ValueError(
            f"there is {what} {name} that prepare did not make for the cluster {cluster.name}: "
            f"write another IamInstanceProfile.Name into {cluster.path}"
        )


def removal(cluster: ClusterFile, account: Account) -> list[Step]:
    """What is to do until no profile and role that prepare made for this cluster is left."""
    return [step for name in profiles_of(cluster) for step in _gone(cluster, account, name)]


def _gone(cluster: ClusterFile, account: Account, name: str) -> Iterator[Step]:
    iam, profile, role = account.iam, _get_profile(account, name), _get_role(account, name)
    if profile is not None and tags_of(profile).get(OURS) == cluster.name:
        yield from _emptied(account, profile)
        yield Step(f"delete the instance profile {name}", lambda: iam.delete_instance_profile(InstanceProfileName=name))
    if role is not None and tags_of(role).get(OURS) == cluster.name:
        yield from _surplus(account, name)
        if _policy(account, name) is not None:
            yield Step(
                f"delete what the role {name} may do",
                lambda: iam.delete_role_policy(RoleName=name, PolicyName=POLICY),
            )
        yield Step(f"delete the role {name}", lambda: iam.delete_role(RoleName=name))


def _tags(cluster: ClusterFile) -> list[dict[str, str]]:
    return [{"Key": OURS, "Value": cluster.name}]


def _get_role(account: Account, name: str) -> dict[str, Any] | None:
    return found(lambda: dict(account.iam.get_role(RoleName=name)["Role"]), ABSENT)


def _get_profile(account: Account, name: str) -> dict[str, Any] | None:
    return found(lambda: dict(account.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]), ABSENT)


def _roles_in(profile: dict[str, Any]) -> list[str]:
    return [role["RoleName"] for role in profile["Roles"]]


def _policy(account: Account, name: str) -> Any:
    """The role's policy as data (boto3 decodes it); None where there is none."""
    return found(lambda: account.iam.get_role_policy(RoleName=name, PolicyName=POLICY)["PolicyDocument"], ABSENT)
