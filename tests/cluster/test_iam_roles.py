"""The permissions of the IAM roles that `nowt cluster prepare` creates, on a simulated AWS."""

import json
from typing import Any

import pytest

from tests.support.command_line import nowt
from tests.support.moto_cloud import BUCKET, Cloud

ME = "203.0.113.7/32"

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture(autouse=True)
def prepared(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    nowt(f"cluster prepare {at_home.cluster_file()} --ssh-from {ME} --yes", capsys)


def policy_statements(account: Cloud, name: str) -> list[dict[str, Any]]:
    """The statements of the role's only policy."""
    iam = account.client("iam")
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["nowt"]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    return list(iam.get_role_policy(RoleName=name, PolicyName="nowt")["PolicyDocument"]["Statement"])


def test_workers_may_only_read_images_and_write_checkpoints(account: Cloud) -> None:
    arn = f"arn:aws:s3:::{BUCKET}"
    prefixes = {"StringLike": {"s3:prefix": ["data/*", "checkpoints/*"]}}
    output = [
        (s["Action"], s["Resource"], s.get("Condition")) for s in policy_statements(account, "nowt-cluster-worker")
    ]
    assert output == [
        (["s3:ListBucket"], [arn], prefixes),
        (["s3:GetObject"], [f"{arn}/data/*", f"{arn}/checkpoints/*"], None),
        (["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], [f"{arn}/checkpoints/*"], None),
    ]


def test_the_head_may_start_and_terminate_only_this_clusters_machines(account: Cloud) -> None:
    output = policy_statements(account, "nowt-cluster-head")
    (new,) = [s for s in output if "ec2:RunInstances" in s["Action"] and "Condition" in s]
    assert new["Resource"] == ["arn:aws:ec2:us-west-2:*:instance/*"]
    assert new["Condition"]["StringEquals"] == {
        "aws:RequestTag/ray-cluster-name": "nowt",
        "ec2:InstanceType": ["g6.12xlarge", "g6.xlarge"],
    }
    (end,) = [s for s in output if "ec2:TerminateInstances" in s["Action"]]
    assert end["Condition"]["StringEquals"] == {"aws:ResourceTag/ray-cluster-name": "nowt"}
    (give,) = [s for s in output if "iam:PassRole" in s["Action"]]
    assert give["Resource"] == ["arn:aws:iam::*:role/nowt-cluster-worker"]
    assert give["Condition"]["StringEquals"] == {"iam:PassedToService": "ec2.amazonaws.com"}


def test_the_head_may_make_every_request_of_doctor(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(at_home.asked())
    nowt(f"doctor --cluster {at_home.cluster_file()}", capsys)
    asked = {request["Action"] for request in at_home.asked()[before:] if "Action" in request}
    allowed = {
        action.partition(":")[2] for s in policy_statements(at_home, "nowt-cluster-head") for action in s["Action"]
    }
    assert {"DescribeSecurityGroups", "GetRolePolicy"} <= asked <= allowed


def test_a_role_with_excess_permissions_is_reported_and_repaired(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    file, iam, role = at_home.cluster_file(), at_home.client("iam"), {"RoleName": "nowt-cluster-worker"}
    anyone = {**EVERYTHING, "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    made = iam.create_policy(PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    iam.attach_role_policy(**role, PolicyArn=made["Policy"]["Arn"])
    iam.put_role_policy(**role, PolicyName="more", PolicyDocument=json.dumps(EVERYTHING))
    iam.update_assume_role_policy(**role, PolicyDocument=json.dumps(anyone))
    assert "failed   roles: 3 changes are missing" in nowt(f"doctor --cluster {file}", capsys, code=1)
    message = nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys)
    assert (
        "done: detach the policy all from the role nowt-cluster-worker" in message
        and "delete the policy more of" in message
    )
    assert "ok       roles" in nowt(f"doctor --cluster {file}", capsys)
    assert policy_statements(at_home, "nowt-cluster-worker")


def test_a_role_of_someone_else_is_not_changed(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    iam = at_home.client("iam")
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument="{}")
    file = at_home.cluster_file(("nowt-cluster-worker", "theirs"))
    message = nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys, code=2)
    assert "there is a role theirs that prepare did not create for the cluster nowt" in message
    assert "failed   roles: could not be checked: there is a role theirs" in nowt(f"doctor --cluster {file}", capsys, 1)
    assert iam.list_role_policies(RoleName="theirs")["PolicyNames"] == []
    iam.delete_role(RoleName="theirs")


def test_teardown_removes_roles_that_were_changed(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    iam = at_home.client("iam")
    iam.put_role_policy(RoleName="nowt-cluster-head", PolicyName="more", PolicyDocument=json.dumps(EVERYTHING))
    nowt(f"cluster teardown {at_home.cluster_file()} --yes", capsys)
    assert iam.list_roles()["Roles"] == [] and iam.list_instance_profiles()["InstanceProfiles"] == []
