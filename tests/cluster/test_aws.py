"""A cluster on a simulated AWS, from an empty account back to an empty account. The tests run in order."""

import shlex
import stat
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.support.command_line import nowt
from tests.support.moto_cloud import BUCKET, Cloud
from tests.support.tracking_server import free_port

ME = "203.0.113.7/32"

# what the autoscaler on the head does when a run needs a GPU, with the file that `ray up` copied there
LAUNCH = """
import sys, yaml
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
config = yaml.safe_load(open(sys.argv[1]))
provider = AWSNodeProvider(config["provider"], config["cluster_name"])
tags = {"ray-node-type": "worker", "ray-user-node-type": "gpu"}
provider.create_node(config["available_node_types"]["gpu"]["node_config"], tags, 1)
"""


def group(account: Cloud) -> dict[str, Any] | None:
    found = account.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["nowt-cluster"]}]
    )["SecurityGroups"]
    return found[0] if found else None


def ways_in(account: Cloud) -> set[tuple[str, int | None, str]]:
    """Protocol, port and source of every ingress rule of the cluster's security group."""
    existing = group(account)
    assert existing
    found = set()
    for rule in existing["IpPermissions"]:
        sources = [r["CidrIp"] for r in rule["IpRanges"]] + [p["GroupId"] for p in rule["UserIdGroupPairs"]]
        found |= {
            (rule["IpProtocol"], rule.get("FromPort"), source.replace(existing["GroupId"], "itself"))
            for source in sources
        }
    return found


CLOSED = {("-1", None, "itself"), ("tcp", 22, ME)}


def test_nothing_is_created_before_the_user_confirms(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    message = nowt(f"cluster prepare {file} --ssh-from {ME}", capsys, code=2)
    assert f"port 22 from {ME}" in message and "add --yes" in message
    assert group(at_home) is None and not (at_home.folder / "home" / ".ssh").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "--ssh-from YOUR.ADDRESS/32"),
        ("--ssh-from 0.0.0.0/0", "0.0.0.0/0: this network is too wide"),
        ("--ssh-from ::/0", "::/0: this network is too wide"),
        ("--ssh-from 10.0.0.0/8,1.0.0.0/8", "1.0.0.0/8: this network is too wide"),
        ("--ssh-from 10.0.0.0/7", "10.0.0.0/7: this network is too wide"),
        ("--ssh-from here", "does not appear to be an IPv4 or IPv6 network; for a single address, give ADDRESS/32"),
        ("--ssh-from 203.0.113.7/24", "has host bits set"),
    ],
)
def test_the_networks_with_ssh_access_must_be_given(
    options: str, message: str, at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in nowt(f"cluster prepare {at_home.cluster_file()} --yes {options}", capsys, code=2)
    assert group(at_home) is None


def test_a_missing_bucket_or_image_is_reported_before_anything_is_created(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    file = at_home.cluster_file((BUCKET, "no-such-bucket"))
    assert "aws s3 mb s3://no-such-bucket" in nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys, code=2)
    file = at_home.cluster_file(("al2023-ami-kernel-default", "none"))
    assert "AWS has no image" in nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys, code=2)
    assert group(at_home) is None


def test_doctor_reports_a_missing_security_group(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    message = nowt(f"doctor --cluster {at_home.cluster_file()}", capsys, code=1)
    assert "failed   security group: there is no nowt-cluster" in message and "nowt cluster prepare" in message


def test_prepare_creates_everything_in_the_file_and_a_second_call_changes_nothing(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"cluster prepare {at_home.cluster_file()} --ssh-from {ME} --yes"
    created = nowt(command, capsys)
    assert "done: create the security group" in created and "ray up --no-config-cache" in created
    assert ways_in(at_home) == CLOSED
    home = at_home.folder / "home"
    secrets = [home / ".ray" / "auth_token", home / ".ssh" / "nowt-cluster.pem"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secrets] == [0o600, 0o600]
    token = secrets[0].read_text()
    message = nowt(command, capsys)
    assert "everything in" in message and "will" not in message and token not in message
    assert "ray up --no-config-cache" in message
    assert secrets[0].read_text() == token and len(token) == 64


def test_prepare_with_another_network_replaces_the_ssh_rule(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    message = nowt(f"cluster prepare {file} --ssh-from 198.51.100.0/24,2001:db8::/32 --yes", capsys)
    assert (
        f"close in nowt-cluster: tcp 22 from {ME}" in message
        and "allow in nowt-cluster: tcp 22 from 2001:db8::/32" in message
    )
    nowt(f"cluster prepare {file} --ssh-from {ME} --yes", capsys)
    assert ways_in(at_home) == CLOSED


def test_doctor_reports_a_security_group_that_is_open_to_the_world(
    at_home: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    file = at_home.cluster_file()
    assert "ok       security group" in nowt(f"doctor --cluster {file}", capsys)
    existing = group(at_home)
    assert existing
    world = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    at_home.client("ec2").authorize_security_group_ingress(GroupId=existing["GroupId"], IpPermissions=[world])
    message = nowt(f"doctor --cluster {file}", capsys, code=1)
    assert "failed   security group: nowt-cluster allows tcp 22 from 0.0.0.0/0" in message
    assert "close in nowt-cluster: tcp 22 from 0.0.0.0/0" in nowt(
        f"cluster prepare {file} --ssh-from {ME} --yes", capsys
    )
    assert ways_in(at_home) == CLOSED


def test_ray_up_starts_a_closed_on_demand_head(account: Cloud) -> None:
    account.ray("up", "-y", "--no-config-cache", str(account.cluster_file()))
    (head,) = machines(account)
    assert (head["InstanceType"], head.get("InstanceLifecycle")) == ("m6id.xlarge", None)
    closed_and_tagged(account, head, "head", "nowt-cluster-head")
    assert ways_in(account) == CLOSED  # Ray did not change the group


def test_ray_up_copies_token_and_project_and_runs_the_start_commands(account: Cloud) -> None:
    given = yaml.safe_load(account.cluster_file().read_text())
    copied = [call["words"][-2:] for call in account.calls() if call["tool"] == "rsync"]
    mounted = {remote.partition(":")[2].rstrip("/"): local.rstrip("/") for local, remote in copied}
    home = str(account.folder / "home")
    expected = {remote: local.replace("~", home) for remote, local in given["file_mounts"].items()}
    assert expected.items() <= mounted.items()
    assert set(mounted) - set(expected) == {"~/ray_bootstrap_config.yaml", "~/ray_bootstrap_key.pem"}
    executed = [call["words"][-1] for call in account.calls() if call["tool"] == "ssh"]
    for command in (*given["setup_commands"], *given["head_start_ray_commands"]):
        assert any(shlex.quote(command)[1:-1] in line for line in executed), command
    (start,) = [line for line in executed if "ray start --head" in line]
    assert "RAY_AUTH_MODE=token" in start and "--dashboard-host=127.0.0.1" in start
    ready, services = (
        next(line for line in executed if f"clusters/aws/{script}" in line) for script in ("node", "head")
    )
    assert f"node.sh s3://{BUCKET}" in ready and "head.sh store" in services
    assert (
        executed.index(ready) < executed.index(services) < executed.index(start)
    )  # the store is restored before Ray runs
    assert not any("head.sh" in line for line in given["worker_start_ray_commands"])


def test_ui_connects_to_the_head_with_the_clusters_key(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    message = nowt(f"ui --cluster {file} --port {free_port()}", capsys, code=2)  # the fake ssh exits immediately
    (head,) = machines(at_home)
    assert f"cannot reach the head {head['PublicIpAddress']}: " in message
    words = at_home.calls()[-1]["words"]
    assert words[-3:] == ["ubuntu", "--", head["PublicIpAddress"]]
    assert words[words.index("-i") + 1] == str(at_home.folder / "home" / ".ssh" / "nowt-cluster.pem")


def test_no_secret_is_on_a_command_line_or_in_the_file_on_the_head(account: Cloud) -> None:
    token = (account.folder / "home" / ".ray" / "auth_token").read_text()
    output = (account.folder / "calls").read_text() + (account.folder / "sent.yaml").read_text()
    assert token not in output and "testing" not in output and "PRIVATE KEY" not in output


def test_the_head_would_start_workers_on_spot_within_the_price_cap(account: Cloud) -> None:
    command = [sys.executable, "-c", LAUNCH, str(account.folder / "sent.yaml")]
    subprocess.run(command, env=account.environment, capture_output=True, check=True, timeout=120)
    (worker,) = [machine for machine in machines(account) if machine["InstanceType"] == "g6.xlarge"]
    assert worker["InstanceLifecycle"] == "spot"
    closed_and_tagged(account, worker, "worker", "nowt-cluster-worker")
    caps = [r.get("InstanceMarketOptions.SpotOptions.MaxPrice") for r in account.asked("RunInstances")]
    assert caps == [None, "0.80"]  # head, worker


def test_teardown_requires_ray_down(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    message = nowt(f"cluster teardown {at_home.cluster_file()} --yes", capsys, code=2)
    assert "still exist: run ray down" in message
    assert ways_in(at_home) == CLOSED


def test_ray_down_and_teardown_leave_nothing_but_the_bucket(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    file = at_home.cluster_file()
    at_home.ray("down", "-y", str(file))
    assert machines(at_home) == []
    assert "run ray up first" in nowt(f"ui --cluster {file} --port {free_port()}", capsys, code=2)
    message = nowt(f"cluster teardown {file} --yes", capsys)
    assert f"kept: s3://{BUCKET}" in message
    ec2, iam = at_home.client("ec2"), at_home.client("iam")
    assert (
        group(at_home) is None
        and ec2.describe_key_pairs()["KeyPairs"] == []
        and ec2.describe_volumes()["Volumes"] == []
    )
    assert iam.list_roles()["Roles"] == [] and iam.list_instance_profiles()["InstanceProfiles"] == []
    assert not (at_home.folder / "home" / ".ssh" / "nowt-cluster.pem").exists()
    assert "nothing of nowt is left" in nowt(f"cluster teardown {file} --yes", capsys)


def machines(account: Cloud) -> list[dict[str, Any]]:
    """The machines that are not terminated."""
    pages = account.client("ec2").describe_instances()["Reservations"]
    return [m for r in pages for m in r["Instances"] if m["State"]["Name"] != "terminated"]


def closed_and_tagged(account: Cloud, machine: dict[str, Any], kind: str, profile: str) -> None:
    """Check IMDSv2, profile, group and tags, and that the disk is encrypted and deleted with the machine."""
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/{profile}")
    assert [g["GroupName"] for g in machine["SecurityGroups"]] == ["nowt-cluster"]
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert (tags["ray-cluster-name"], tags["ray-node-type"], tags["project"]) == ("nowt", kind, "nowt")
    (disk,) = machine["BlockDeviceMappings"]
    assert disk["Ebs"]["DeleteOnTermination"] is True
    (volume,) = account.client("ec2").describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Encrypted"], volume["VolumeType"], volume["Size"]) == (True, "gp3", 150)


def test_a_key_pair_that_prepare_did_not_create_is_kept(at_home: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    ec2, mine = at_home.client("ec2"), at_home.folder / "home" / ".ssh" / "nowt-cluster.pem"
    ec2.create_key_pair(KeyName="nowt-cluster")
    mine.write_text("someone else's")
    nowt(f"cluster teardown {at_home.cluster_file()} --yes", capsys)
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["nowt-cluster"]
    assert mine.read_text() == "someone else's"
    ec2.delete_key_pair(KeyName="nowt-cluster")
    mine.unlink()
