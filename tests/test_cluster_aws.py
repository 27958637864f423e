"""From an empty account to a cluster and back to an empty account, against a stand-in for AWS on this machine."""

import json
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kept_server import free_port
from moto_cloud import BUCKET, ROOT, Cloud, cloud
from nowt.cli import main

ME = "203.0.113.7/32"

# what the autoscaler on the head does when a run wants a GPU, with the file that `ray up` sent there
LAUNCH = """
import sys, yaml
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
config = yaml.safe_load(open(sys.argv[1]))
provider = AWSNodeProvider(config["provider"], config["cluster_name"])
tags = {"ray-node-type": "worker", "ray-user-node-type": "gpu"}
provider.create_node(config["available_node_types"]["gpu"]["node_config"], tags, 1)
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made


@pytest.fixture(scope="module")
def session() -> Any:
    """One for all tests, since it takes long to read what EC2 is."""
    import boto3

    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


@pytest.fixture
def at_home(account: Cloud, session: Any, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """This process with the account's keys, in the repository's folder."""
    monkeypatch.setattr("boto3.DEFAULT_SESSION", session)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    return account


def nowt(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command prints; it must end with this exit code."""
    capsys.readouterr()
    assert main(words.split()) == code
    out, err = capsys.readouterr()
    return out + err


def group(account: Cloud) -> dict[str, Any] | None:
    found = account.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["nowt-cluster"]}]
    )["SecurityGroups"]
    return found[0] if found else None


def ways_in(account: Cloud) -> set[tuple[str, int | None, str]]:
    """Protocol, port and source of everything that the cluster's group lets in."""
    there = group(account)
    assert there
    found = set()
    for rule in there["IpPermissions"]:
        sources = [r["CidrIp"] for r in rule["IpRanges"]] + [p["GroupId"] for p in rule["UserIdGroupPairs"]]
        found |= {
            (rule["IpProtocol"], rule.get("FromPort"), source.replace(there["GroupId"], "itself")) for source in sources
        }
    return found


CLOSED = {("-1", None, "itself"), ("tcp", 22, ME)}


def test_nothing_is_made_before_the_user_agrees(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    told = nowt(f"cluster prepare {file} --ssh-from {ME}", capsys, code=2)
    assert f"port 22 from {ME}" in told and "give --yes" in told
    assert group(at_home) is None and not (at_home.folder / "home" / ".ssh").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "--ssh-from YOUR.ADDRESS/32"),
        ("--ssh-from 0.0.0.0/0", "0.0.0.0/0: that is too many others"),
        ("--ssh-from ::/0", "::/0: that is too many others"),
        ("--ssh-from 10.0.0.0/8,1.0.0.0/8", "1.0.0.0/8: that is too many others"),
        ("--ssh-from 10.0.0.0/7", "10.0.0.0/7: that is too many others"),
        ("--ssh-from here", "does not appear to be an IPv4 or IPv6 network; your own address is ADDRESS/32"),
        ("--ssh-from 203.0.113.7/24", "has host bits set"),
    ],
)
def test_who_may_enter_must_be_named(
    options: str, told: str, at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in nowt(f"cluster prepare {at_home.cluster_file()} --yes {options}", capsys, code=2)
    assert group(at_home) is None


def test_a_bucket_or_image_that_is_not_there_is_told_before_anything_is_made(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    file = at_home.cluster_file((BUCKET, "no-such-pictures"))
    assert "aws s3 mb s3://no-such-pictures" in nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys, code=2)
    file = at_home.cluster_file(("al2023-ami-kernel-default", "none"))
    assert "AWS offers no image" in nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys, code=2)
    assert group(at_home) is None


def test_doctor_refuses_a_file_whose_group_is_missing(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    told = nowt(f"doctor --cluster {at_home.cluster_file()}", capsys, code=1)
    assert "WRONG  security group: there is no nowt-cluster" in told and "nowt cluster prepare" in told


# --- the way there and back, one step a test, in order


def test_prepare_makes_all_that_the_file_names_and_is_done_the_second_time(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"cluster prepare {at_home.cluster_file()} --ssh-from {ME} --yes"
    assert "done: make the security group" in nowt(command, capsys)
    assert ways_in(at_home) == CLOSED
    home = at_home.folder / "home"
    secrets = [home / ".ray" / "auth_token", home / ".ssh" / "nowt-cluster.pem"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secrets] == [0o600, 0o600]
    token = secrets[0].read_text()
    told = nowt(command, capsys)
    assert "all that" in told and "will" not in told and token not in told
    assert secrets[0].read_text() == token and len(token) == 64


def test_another_address_replaces_the_first(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    told = nowt(f"cluster prepare {file} --ssh-from 198.51.100.0/24,2001:db8::/32 --yes", capsys)
    assert (
        f"close in nowt-cluster: tcp 22 from {ME}" in told
        and "allow in nowt-cluster: tcp 22 from 2001:db8::/32" in told
    )
    nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys)
    assert ways_in(at_home) == CLOSED


def test_doctor_asks_ec2_whether_the_group_is_closed(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    assert "fine   security group" in nowt(f"doctor --cluster {file}", capsys)
    there = group(at_home)
    assert there
    world = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    at_home.client("ec2").authorize_security_group_ingress(GroupId=there["GroupId"], IpPermissions=[world])
    told = nowt(f"doctor --cluster {file}", capsys, code=1)
    assert "WRONG  security group: nowt-cluster lets in tcp 22 from 0.0.0.0/0" in told
    assert "close in nowt-cluster: tcp 22 from 0.0.0.0/0" in nowt(
        f"cluster prepare {file} --ssh-from {ME} --yes", capsys
    )
    assert ways_in(at_home) == CLOSED


def may(account: Cloud, name: str) -> list[dict[str, Any]]:
    """The statements of the only policy that a role has."""
    iam = account.client("iam")
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["nowt"]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    return list(iam.get_role_policy(RoleName=name, PolicyName="nowt")["PolicyDocument"]["Statement"])


def test_workers_may_only_read_pictures_and_keep_checkpoints(account: Cloud) -> None:
    arn = f"arn:aws:s3:::{BUCKET}"
    prefixes = {"StringLike": {"s3:prefix": ["data/*", "checkpoints/*"]}}
    said = [(s["Action"], s["Resource"], s.get("Condition")) for s in may(account, "nowt-cluster-worker")]
    assert said == [
        (["s3:ListBucket"], [arn], prefixes),
        (["s3:GetObject"], [f"{arn}/data/*", f"{arn}/checkpoints/*"], None),
        (["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], [f"{arn}/checkpoints/*"], None),
    ]


def test_the_head_may_start_this_clusters_machines_alone_and_end_them(account: Cloud) -> None:
    said = may(account, "nowt-cluster-head")
    (new,) = [s for s in said if "ec2:RunInstances" in s["Action"] and "Condition" in s]
    assert new["Resource"] == ["arn:aws:ec2:us-west-2:*:instance/*"]
    assert new["Condition"]["StringEquals"] == {
        "aws:RequestTag/ray-cluster-name": "nowt",
        "ec2:InstanceType": ["g6.12xlarge", "g6.xlarge"],
    }
    (end,) = [s for s in said if "ec2:TerminateInstances" in s["Action"]]
    assert end["Condition"]["StringEquals"] == {"aws:ResourceTag/ray-cluster-name": "nowt"}
    (give,) = [s for s in said if "iam:PassRole" in s["Action"]]
    assert give["Resource"] == ["arn:aws:iam::*:role/nowt-cluster-worker"]
    assert give["Condition"]["StringEquals"] == {"iam:PassedToService": "ec2.amazonaws.com"}


def test_what_the_doctor_asks_the_head_may_ask(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(at_home.asked())
    nowt(f"doctor --cluster {at_home.cluster_file()}", capsys)
    asked = {request["Action"] for request in at_home.asked()[before:] if "Action" in request}
    allowed = {action.partition(":")[2] for s in may(at_home, "nowt-cluster-head") for action in s["Action"]}
    assert {"DescribeSecurityGroups", "GetRolePolicy"} <= asked <= allowed


def test_a_role_that_may_do_more_is_told_and_mended(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file, iam, role = at_home.cluster_file(), at_home.client("iam"), {"RoleName": "nowt-cluster-worker"}
    all_ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    anyone = {**all_, "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    made = iam.create_policy(PolicyName="all", PolicyDocument=json.dumps(all_))
    iam.attach_role_policy(**role, PolicyArn=made["Policy"]["Arn"])
    iam.put_role_policy(**role, PolicyName="more", PolicyDocument=json.dumps(all_))
    iam.update_assume_role_policy(**role, PolicyDocument=json.dumps(anyone))
    assert "WRONG  roles: 3 changes are missing" in nowt(f"doctor --cluster {file}", capsys, code=1)
    told = nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys)
    assert "done: take all from the role nowt-cluster-worker" in told and "delete what more lets" in told
    assert "fine   roles" in nowt(f"doctor --cluster {file}", capsys)
    assert may(at_home, "nowt-cluster-worker")


def test_a_role_of_somebody_elses_is_left_as_it_is(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    iam = at_home.client("iam")
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument="{}")
    file = at_home.cluster_file(("nowt-cluster-worker", "theirs"))
    told = nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys, code=2)
    assert "there is a role theirs that prepare did not make for the cluster nowt" in told
    assert "WRONG  roles: not known to be closed: there is a role theirs" in nowt(f"doctor --cluster {file}", capsys, 1)
    assert iam.list_role_policies(RoleName="theirs")["PolicyNames"] == []
    iam.delete_role(RoleName="theirs")


def test_ray_up_starts_a_closed_on_demand_head(account: Cloud) -> None:
    account.ray("up", "-y", "--no-config-cache", str(account.cluster_file()))
    (head,) = machines(account)
    assert (head["InstanceType"], head.get("InstanceLifecycle")) == ("m6id.xlarge", None)
    closed_and_tagged(account, head, "head", "nowt-cluster-head")
    assert ways_in(account) == CLOSED  # Ray left the group as it was


def test_ray_up_sends_token_project_and_start_commands(account: Cloud) -> None:
    given = yaml.safe_load(account.cluster_file().read_text())
    sent = [call["words"][-2:] for call in account.calls() if call["tool"] == "rsync"]
    mounted = {there.partition(":")[2].rstrip("/"): here.rstrip("/") for here, there in sent}
    home = str(account.folder / "home")
    wanted = {there: here.replace("~", home) for there, here in given["file_mounts"].items()}
    assert wanted.items() <= mounted.items()
    assert set(mounted) - set(wanted) == {"~/ray_bootstrap_config.yaml", "~/ray_bootstrap_key.pem"}
    typed = [call["words"][-1] for call in account.calls() if call["tool"] == "ssh"]
    for command in (*given["setup_commands"], *given["head_start_ray_commands"]):
        assert any(shlex.quote(command)[1:-1] in line for line in typed), command
    (start,) = [line for line in typed if "ray start --head" in line]
    assert "RAY_AUTH_MODE=token" in start and "--dashboard-host=127.0.0.1" in start
    ready, keeper = (next(line for line in typed if f"clusters/aws/{script}" in line) for script in ("node", "keeper"))
    assert f"node.sh s3://{BUCKET}" in ready and "keeper.sh store" in keeper
    assert typed.index(ready) < typed.index(keeper) < typed.index(start)  # no study before the store is there
    assert not any("keeper.sh" in line for line in given["worker_start_ray_commands"])


def test_the_way_to_mlflow_leads_to_the_head_with_the_clusters_key(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    file = at_home.cluster_file()
    told = nowt(f"ui --cluster {file} --port {free_port()}", capsys, code=2)  # the stand-in for ssh ends at once
    (head,) = machines(at_home)
    assert f"the head {head['PublicIpAddress']} was not reached" in told
    words = at_home.calls()[-1]["words"]
    assert words[-3:] == ["ubuntu", "--", head["PublicIpAddress"]]
    assert words[words.index("-i") + 1] == str(at_home.folder / "home" / ".ssh" / "nowt-cluster.pem")


def test_no_secret_is_on_a_command_line_or_in_the_file_that_the_head_gets(account: Cloud) -> None:
    token = (account.folder / "home" / ".ray" / "auth_token").read_text()
    said = (account.folder / "calls").read_text() + (account.folder / "sent.yaml").read_text()
    assert token not in said and "testing" not in said and "PRIVATE KEY" not in said


def test_the_head_would_start_workers_on_spot_within_the_price_cap(account: Cloud) -> None:
    command = [sys.executable, "-c", LAUNCH, str(account.folder / "sent.yaml")]
    subprocess.run(command, env=account.environment, capture_output=True, check=True, timeout=120)
    (worker,) = [machine for machine in machines(account) if machine["InstanceType"] == "g6.xlarge"]
    assert worker["InstanceLifecycle"] == "spot"
    closed_and_tagged(account, worker, "worker", "nowt-cluster-worker")
    caps = [r.get("InstanceMarketOptions.SpotOptions.MaxPrice") for r in account.asked("RunInstances")]
    assert caps == [None, "0.80"]  # the head's, then the worker's


def test_teardown_waits_for_ray_down(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    told = nowt(f"cluster teardown {at_home.cluster_file()} --yes", capsys, code=2)
    assert "still there: first ray down" in told
    assert ways_in(at_home) == CLOSED


def test_ray_down_and_teardown_leave_nothing_but_the_bucket(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    at_home.ray("down", "-y", str(file))
    assert machines(at_home) == []
    assert "ray up first" in nowt(f"ui --cluster {file} --port {free_port()}", capsys, code=2)
    told = nowt(f"cluster teardown {file} --yes", capsys)
    assert f"kept: s3://{BUCKET}" in told
    ec2, iam = at_home.client("ec2"), at_home.client("iam")
    assert (
        group(at_home) is None
        and ec2.describe_key_pairs()["KeyPairs"] == []
        and ec2.describe_volumes()["Volumes"] == []
    )
    assert iam.list_roles()["Roles"] == [] and iam.list_instance_profiles()["InstanceProfiles"] == []
    assert not (at_home.folder / "home" / ".ssh" / "nowt-cluster.pem").exists()
    assert "nothing is left" in nowt(f"cluster teardown {file} --yes", capsys)


def machines(account: Cloud) -> list[dict[str, Any]]:
    """The machines that are not gone."""
    pages = account.client("ec2").describe_instances()["Reservations"]
    return [m for r in pages for m in r["Instances"] if m["State"]["Name"] != "terminated"]


def closed_and_tagged(account: Cloud, machine: dict[str, Any], kind: str, profile: str) -> None:
    """IMDSv2, the profile, the group, tags, and a disk that is encrypted and ends with the machine."""
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/{profile}")
    assert [g["GroupName"] for g in machine["SecurityGroups"]] == ["nowt-cluster"]
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert (tags["ray-cluster-name"], tags["ray-node-type"], tags["project"]) == ("nowt", kind, "nowt")
    (disk,) = machine["BlockDeviceMappings"]
    assert disk["Ebs"]["DeleteOnTermination"] is True
    (volume,) = account.client("ec2").describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Encrypted"], volume["VolumeType"], volume["Size"]) == (True, "gp3", 150)


def test_a_key_pair_that_prepare_did_not_make_stays(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    ec2, mine = at_home.client("ec2"), at_home.folder / "home" / ".ssh" / "nowt-cluster.pem"
    ec2.create_key_pair(KeyName="nowt-cluster")
    mine.write_text("somebody's own")
    nowt(f"cluster teardown {at_home.cluster_file()} --yes", capsys)
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["nowt-cluster"]
    assert mine.read_text() == "somebody's own"
    ec2.delete_key_pair(KeyName="nowt-cluster")
    mine.unlink()
