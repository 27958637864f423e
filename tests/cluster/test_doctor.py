"""`nowt doctor`: this installation, a store, and the nodes of a running Ray."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nowt.cli.databases import database_problems
from nowt.cli.main import main
from nowt.cluster import node_report, this_machine
from nowt.cluster.cluster_file import read_cluster
from nowt.cluster.nodes import NodeReport, compare, lost_nodes, stale_placement_groups
from nowt.cluster.this_machine import check_machine
from nowt.store.run_log import schema_problems

ROOT = Path(__file__).parents[2]

# a local Ray with its dashboard; one of its jobs has left a placement group behind
RAY = """
import json, os, subprocess, sys, ray
ray.init(address="local", num_cpus=1, include_dashboard=True, log_to_driver=False, logging_level="ERROR")
address = ray.get_runtime_context().gcs_address
leaver = '''
import ray
ray.init(log_to_driver=False, logging_level="ERROR")
group = ray.util.placement_group([{"CPU": 1}], lifetime="detached", name="left")
ray.get(group.ready())
'''
subprocess.run([sys.executable, "-c", leaver], env={**os.environ, "RAY_ADDRESS": address}, check=True)
print(json.dumps(address), flush=True)
sys.stdin.readline()
"""


def test_every_check_is_reported_and_this_machine_passes(tmp_path: Path) -> None:
    lines = {line.subject: line for line in check_machine(tmp_path / "none")}
    named = {"Python", "packages", "Ray's dashboard", "torch and torchvision", "disk", "store", "GPUs", "token"}
    assert named <= set(lines)
    assert {line.subject for line in lines.values() if line.state == "failed"} <= {"disk", "token"}


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_token_that_others_can_read_is_reported(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in tmp_path.parents[:-1]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o755)
    token.write_text("t")
    token.chmod(mode)
    tmp_path.chmod(0o755)
    (line,) = [line for line in check_machine(tmp_path / "none") if line.subject == "token"]
    assert (line.state == "failed") == (mode == 0o644)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert any("RAY_AUTH_MODE is disabled" in line.message for line in check_machine(tmp_path / "none"))


def test_a_store_with_another_schema_is_reported(store: Path) -> None:
    assert [*schema_problems(store), *database_problems(store)] == []
    (store / "logs").mkdir(exist_ok=True)
    (store / "logs" / "abc.jsonl").write_text(json.dumps({"schema": 99}) + "\n")
    with sqlite3.connect(store / "mlflow.db") as database:
        database.execute("update alembic_version set version_num = 'older'")
    (store / "optuna.db").write_text("no database")
    output = "\n".join([*schema_problems(store), *database_problems(store)])
    for problem in ("logs of schema 99", "another version of MLflow", "is not an Optuna database"):
        assert problem in output


def test_a_store_on_a_network_file_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nowt.cluster.this_machine.network_file_system", lambda path: "nfs4")
    lines = [str(finding) for finding in check_machine(tmp_path, ())]
    assert any("on nfs4, Optuna's database is used without a write-ahead log" in line for line in lines)


def test_files_of_the_cache_that_are_no_longer_read_are_named_and_are_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nowt.cluster.this_machine.check_machine", lambda store, problems: [])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "0123456789abcdef.pixels").write_bytes(b"0")
    assert main(["doctor", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("ok       cache: 1 file (0.00 GB) of images that another version")


def test_a_misspelt_store_is_a_failure_that_names_the_nearest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(this_machine, "_gpus", list)
    (tmp_path / "lab" / "logs").mkdir(parents=True)
    assert main(["doctor", "--store", str(tmp_path / "lob")]) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if " store: " in line]
    wanted = f"failed   store: there is no store at {tmp_path}/lob (did you mean lab?): give the folder that"
    assert said == [f"{wanted} nowt ablate or nowt search wrote"]


def node(address: str, drift: float = 0.0, **changes: Any) -> NodeReport:
    packages = ("python", *node_report.PACKAGES)
    facts = {"versions": dict.fromkeys(packages, "1.0"), "token": "", "gpus": [], "free": 10e9}
    images = changes.pop("images", {"files": 1, "folders": {"": "1 file, abc"}, "contents": {"a.jpg": "def"}})
    return NodeReport(address, {**facts, **changes}, drift, images)


PREMISES = ROOT / "platform" / "clusters" / "on_premise" / "cluster.yaml"


def wrong(
    *nodes: NodeReport, silent: tuple[str, ...] = (), data: str = "~/data", file: Path | None = None
) -> list[str]:
    cluster = read_cluster(file) if file else None
    return [str(line) for line in compare(nodes, silent, data, cluster) if line.state == "failed"]


def test_identical_nodes_pass_and_each_difference_is_reported() -> None:
    assert wrong(node("10.0.0.1"), node("10.0.0.2")) == []
    older = {**node("").facts["versions"], "torch": "0.9"}
    (message,) = wrong(node("10.0.0.1"), node("10.0.0.2", versions=older))
    assert "torch is 0.9 on 10.0.0.2; 1.0 on 10.0.0.1" in message
    (message,) = wrong(node("10.0.0.1"), node("10.0.0.2", drift=7.25))
    assert "10.0.0.2 is at least 7.2 s off: run timedatectl" in message
    (message,) = wrong(node("10.0.0.1", token="there is no /root/.ray/auth_token"))
    assert "tokens: 10.0.0.1: there is no" in message
    (message,) = wrong(node("10.0.0.1", free=1e9))
    assert "1.0 GB free" in message
    (message,) = wrong(node("10.0.0.1", gpus=["L4, 580.1"]), node("10.0.0.2", gpus=["L4, 570.2"]))
    assert "drivers 570.2, 580.1" in message
    (message,) = wrong(node("10.0.0.1", gpus=["L4, 580.1"]), node("10.0.0.2", gpus=["A10G, 580.1"]))
    assert "models A10G, L4: the workers of a run need one model" in message
    (message,) = wrong(node("10.0.0.1"), silent=("10.0.0.3",))
    assert "10.0.0.3 does not answer" in message


@pytest.mark.parametrize(
    ("file", "what"),
    [
        (
            None,
            "run rm -f ~/data/.complete on it, then the command in setup_commands (bash ~/nowt/platform/clusters/aws",
        ),
        (ROOT / "cluster.yaml", "run rm -f ~/data/.complete on it, then the command in setup_commands"),
        (PREMISES, "copy the images to it"),
    ],
)
def test_for_a_node_without_images_the_copy_command_is_given(file: Path | None, what: str) -> None:
    none = {"files": 0, "folders": {}, "contents": {}}
    (message,) = wrong(node("10.0.0.1", images=none), file=file)
    assert f"10.0.0.1 has no ~/data: {what}" in message
    other = {"files": 1, "folders": {"": "2 files, abc"}, "contents": {}}
    (message,) = wrong(node("10.0.0.1"), node("10.0.0.2", images=other), file=file)
    assert f"where it is wrong, {what}" in message


def test_a_lost_on_premise_host_is_named_with_its_restart_command() -> None:
    cluster = read_cluster(PREMISES)
    (message,) = lost_nodes({"10.0.0.3", "10.0.0.77"}, cluster)
    assert message.startswith("10.0.0.3 has left the cluster; restart it with: ssh ubuntu@10.0.0.3")
    assert "ray start --address=10.0.0.1:6379" in message and "RAY_AUTH_MODE=token" in message
    assert list(lost_nodes({"10.0.0.3"}, None)) == []  # cloud machines are replaced automatically


def test_a_placement_group_whose_job_has_ended_is_stale() -> None:
    def group(state: str, job: str) -> Any:
        return SimpleNamespace(placement_group_id=f"{state}-{job}", state=state, creator_job_id=job)

    jobs = [SimpleNamespace(job_id="01", status="RUNNING"), SimpleNamespace(job_id="02", status="SUCCEEDED")]
    groups = [group("CREATED", "01"), group("CREATED", "02"), group("REMOVED", "02"), group("PENDING", "03")]
    assert [message.partition(" ")[0] for message in stale_placement_groups(groups, jobs)] == [
        "CREATED-02",
        "PENDING-03",
    ]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment of a user on the head of that Ray."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    command = [sys.executable, "-c", RAY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        yield {**environment, "RAY_ADDRESS": json.loads(process.stdout.readline())}
        process.communicate("done\n", timeout=60)


def test_the_nodes_of_a_running_ray_are_checked(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nowt", "doctor", "--cluster", "--data-dir", "/no/such/images"]
    # no cluster.yaml in this folder: only the nodes are checked
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
    )
    message = done.stdout
    assert done.returncode == 1, done.stderr
    for expected in ("ok       nodes: 1 answer", "ok       versions", "ok       clocks", "ok       lost nodes"):
        assert expected in message, message
    assert "has no /no/such/images" in message
    (stale_one,) = [line for line in message.splitlines() if "placement groups" in line]
    assert stale_one.startswith("failed") and "which has ended" in stale_one


def test_a_missing_cluster_gives_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    assert main(["doctor", "--cluster"]) == 2
    assert "it must be HOST:6379 or, on the head, auto" in capsys.readouterr().err
    monkeypatch.delenv("RAY_ADDRESS")
    assert main(["doctor", "--cluster"]) == 2
    assert "file cluster.yaml does not exist" in capsys.readouterr().err


def test_a_data_folder_without_a_cluster_to_compare_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data-dir", "images"]) == 2
    assert "--data-dir compares the nodes of a cluster: add --cluster" in capsys.readouterr().err
