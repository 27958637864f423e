"""The checks of `nowt doctor --cluster` that need only the cluster file."""

from pathlib import Path

import pytest
import yaml

from nowt.cluster.checks import cluster_problems
from nowt.cluster.cluster_file import read_cluster

ROOT = Path(__file__).parents[2]

HEAD = "InstanceType: m6id.xlarge\n      "

OWN = ("nowt-example", "lab-images")  # the edit that every user makes


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # as for `ray up`: file_mounts are relative


def found(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return cluster_problems(read_cluster(path))


def changed(old: str, new: str) -> str:
    text = (ROOT / "cluster.yaml").read_text().replace(*OWN)
    assert old in text
    return text.replace(old, new, 1)


def test_the_shipped_file_passes_once_the_bucket_is_replaced(tmp_path: Path) -> None:
    assert found(tmp_path, changed("", "")) == []
    message = cluster_problems(read_cluster(ROOT / "cluster.yaml"))
    assert message == [
        "the bucket is still the example, s3://nowt-example: replace it with yours (in the line marked EDIT)"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # Ray's validator
        ("max_workers: 8\nupscaling", "max_workrs: 8\nupscaling", "max_workrs"),
        ("max_workers: 8\nupscaling", "max_workers: many\nupscaling", "max_workers: 'many' is not of type 'integer'"),
        ("{GroupName: nowt-cluster}", "{GruopName: nowt-cluster}", "provider.security_group: "),
        ("head_node_type: head", "head_node_type: haed", "`head_node_type` must be one of"),
        ("min_workers: 0", "min_workers: 9", "smaller than the sum of `min_workers`"),
        ("type: aws", "type: awz", "awz"),
        # botocore's model of EC2
        ("VolumeSize: 150", "VolumSize: 150", 'Unknown parameter in BlockDeviceMappings[0].Ebs: "VolumSize"'),
        ("VolumeSize: 150", "VolumeSize: big", "BlockDeviceMappings[0].Ebs.VolumeSize, value: big"),
        ("InstanceType: g6.xlarge", "InstanceTyp: g6.xlarge", 'type gpu: Unknown parameter in input: "InstanceTyp"'),
        # nowt's checks
        ("  security_group:", "  securty_group:", "is not a key of Ray (did you mean security_group?)"),
        ("max_workers: 8\n    node", "max_workers: 9\n    node", "type gpu has max_workers 9, the cluster 8"),
        ("  region: us-west-2", "  availability_zone: us-west-2a", "provider.region is missing"),
        ("auth: {ssh_user: ubuntu}", "auth: {}", "auth.ssh_user is missing"),
        ("cache_stopped_nodes: False", "cache_stopped_nodes: True", "cache_stopped_nodes must be False"),
        ("{GroupName: nowt-cluster}", "{}", "security_group.GroupName is missing"),
        (
            "{GroupName: nowt-cluster}",
            "{GroupName: g, IpPermissions: [{IpProtocol: '-1', IpRanges: [{CidrIp: 0.0.0.0/0}]}]}",
            "provider opens a port to 0.0.0.0/0",
        ),
        ("{key_name: nowt-cluster}", "{}", "key_pair.key_name is missing"),
        ("MarketType: spot", "MarketType: spott", "MarketType is 'spott': it must be spot or capacity-block"),
        ('MaxPrice: "0.80", ', "", "node type gpu: SpotOptions.MaxPrice is None"),
        ('MaxPrice: "0.80"', 'MaxPrice: "cheap"', "MaxPrice is 'cheap'"),
        ("DeleteOnTermination: True", "DeleteOnTermination: False", "True; otherwise it keeps costing"),
        ("Encrypted: True, ", "", "every disk needs Ebs.Encrypted: True"),
        ("HttpTokens: required", "HttpTokens: optional", "MetadataOptions.HttpTokens must be required"),
        ("{Name: nowt-cluster-worker}", "{Name: nowt-cluster-head}", "share an instance profile"),
        ("      IamInstanceProfile: {Name: nowt-cluster-worker}", "", "type gpu: IamInstanceProfile.Name is missing"),
        ("InstanceType: m6id.xlarge", f"{HEAD}InstanceMarketOptions: {{MarketType: spot}}", "must not be interrupted"),
        ("InstanceType: m6id.xlarge", f"{HEAD}SecurityGroupIds: [sg-1]", "remove SecurityGroupIds"),
        ("s3://lab-images", "s3://$BUCKET", "name 0 buckets"),
        ("--autoscaling-config=~/ray_bootstrap_config.yaml", "", "lacks --autoscaling-config"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "otherwise other hosts can open the dashboard"),
        ("RAY_AUTH_MODE=token", "", "head_start_ray_commands lacks RAY_AUTH_MODE=token"),
        ("--metrics-export-port=6384", "", "head_start_ray_commands lacks --metrics-export-port"),
        ("  ~/.ray/auth_token: ~/.ray/auth_token", "", "Without it no node can join"),
        ("~/nowt/analysis: analysis", "~/nowt/analysis: analyses", "file_mounts: analyses does not exist in "),
    ],
)  # fmt: skip
def test_each_mistake_is_reported_in_one_sentence(old: str, new: str, message: str, tmp_path: Path) -> None:
    problems = found(tmp_path, changed(old, new))
    assert any(message in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML"),
        ("- a\n", "has no provider.type"),
        ("provider: {region: x}\n", "has no provider.type"),
    ],
)
def test_a_file_that_is_not_a_cluster_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        found(tmp_path, text)
    with pytest.raises(ValueError, match="does not exist"):
        read_cluster(tmp_path / "none.yaml")


def test_head_and_workers_have_the_same_ports_and_environment() -> None:
    given = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    head, worker = (given[f"{kind}_start_ray_commands"][-1].split() for kind in ("head", "worker"))
    assert [w for w in worker if "-port=" in w] == [w for w in head if "-port=" in w and w in worker]
    assert given["head_setup_commands"] == given["worker_setup_commands"] == [] and len(given["setup_commands"]) == 1
