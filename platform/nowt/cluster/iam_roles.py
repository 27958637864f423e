"""Roles and instance profiles: a role and a profile of the same name for the head, and others for the workers."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from nowt.cluster.aws import Account, get_or_none
from nowt.cluster.cluster_file import ClusterFile
from nowt.cluster.iam_policy import TRUST, policy_of, profiles_of
from nowt.cluster.security_group import CLUSTER_TAG, tags_of
from nowt.cluster.steps import Step
from nowt.core.errors import UserError

POLICY = "nowt"  # name of the only policy of each role

MISSING = "NoSuchEntity"


def role_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """Return the steps that create the file's missing instance profiles and give each its role and exactly its policy.

    Raises ValueError for a role or profile of such a name that was not created for this cluster.
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
        arguments = {"RoleName": name, "AssumeRolePolicyDocument": trust, "Tags": _tags(cluster)}
        yield Step(f"create the role {name}", lambda: iam.create_role(**arguments))
    else:
        _check_owner(cluster, "a role", name, role)
        yield from _remove_other_policies(account, name)
        if role["AssumeRolePolicyDocument"] != TRUST:
            yield Step(
                f"let only EC2 machines assume the role {name}",
                lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust),
            )
    if _policy(account, name) != wanted:
        allowed = "start and terminate this cluster's machines, read data/, write checkpoints/ and store/"
        allowed = f"{allowed if head else 'read data/, write checkpoints/'} of {cluster.buckets[0]}"
        yield Step(
            f"let the role {name} {allowed}",
            lambda: iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=policy),
        )


def _remove_other_policies(account: Account, name: str) -> Iterator[Step]:
    """Steps until the role has no other policy."""
    iam = account.iam
    for other in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        if other != POLICY:
            yield Step(
                f"delete the policy {other} of the role {name}",
                partial(iam.delete_role_policy, RoleName=name, PolicyName=other),
            )
    for other in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        yield Step(
            f"detach the policy {other['PolicyName']} from the role {name}",
            partial(iam.detach_role_policy, RoleName=name, PolicyArn=other["PolicyArn"]),
        )


def _profile(cluster: ClusterFile, account: Account, name: str) -> Iterator[Step]:
    iam, profile = account.iam, _get_profile(account, name)
    if profile is None:
        yield Step(
            f"create the instance profile {name}",
            lambda: iam.create_instance_profile(InstanceProfileName=name, Tags=_tags(cluster)),
        )
    else:
        _check_owner(cluster, "an instance profile", name, profile)
        yield from _remove_roles(account, profile, keep=name)
    if profile is None or name not in _roles_in(profile):
        yield Step(
            f"add the role {name} to it",
            lambda: iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name),
        )


def _remove_roles(account: Account, profile: dict[str, Any], keep: str = "") -> Iterator[Step]:
    """Steps until the profile contains no role except ``keep``."""
    name, remove = profile["InstanceProfileName"], account.iam.remove_role_from_instance_profile
    for inside in _roles_in(profile):
        if inside != keep:
            yield Step(
                f"remove the role {inside} from the instance profile {name}",
                partial(remove, InstanceProfileName=name, RoleName=inside),
            )


def _check_owner(cluster: ClusterFile, what: str, name: str, thing: dict[str, Any]) -> None:
    if tags_of(thing).get(CLUSTER_TAG) != cluster.name:
        raise UserError(
            f"there is {what} {name} that prepare did not create for the cluster {cluster.name}: "
            f"use another IamInstanceProfile.Name in {cluster.path}"
        )


def removal_steps(cluster: ClusterFile, account: Account) -> list[Step]:
    """Return the steps that delete the profiles and roles that ``prepare`` created for this cluster."""
    return [step for name in profiles_of(cluster) for step in _removal(cluster, account, name)]


def _removal(cluster: ClusterFile, account: Account, name: str) -> Iterator[Step]:
    iam, profile, role = account.iam, _get_profile(account, name), _get_role(account, name)
    if profile is not None and tags_of(profile).get(CLUSTER_TAG) == cluster.name:
        yield from _remove_roles(account, profile)
        yield Step(f"delete the instance profile {name}", lambda: iam.delete_instance_profile(InstanceProfileName=name))
    if role is not None and tags_of(role).get(CLUSTER_TAG) == cluster.name:
        yield from _remove_other_policies(account, name)
        if _policy(account, name) is not None:
            yield Step(
                f"delete the policy of the role {name}",
                lambda: iam.delete_role_policy(RoleName=name, PolicyName=POLICY),
            )
        yield Step(f"delete the role {name}", lambda: iam.delete_role(RoleName=name))


def _tags(cluster: ClusterFile) -> list[dict[str, str]]:
    return [{"Key": CLUSTER_TAG, "Value": cluster.name}]


def _get_role(account: Account, name: str) -> dict[str, Any] | None:
    return get_or_none(lambda: dict(account.iam.get_role(RoleName=name)["Role"]), MISSING)


def _get_profile(account: Account, name: str) -> dict[str, Any] | None:
    return get_or_none(
        lambda: dict(account.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]), MISSING
    )


def _roles_in(profile: dict[str, Any]) -> list[str]:
    return [role["RoleName"] for role in profile["Roles"]]


def _policy(account: Account, name: str) -> Any:
    """Return the role's policy, decoded by boto3; None if it has none."""
    return get_or_none(lambda: account.iam.get_role_policy(RoleName=name, PolicyName=POLICY)["PolicyDocument"], MISSING)
