"""An on-premise cluster from `ray up` to `ray down`, as in docs/cluster.md. Hosts and Ray processes fail in between."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import on_premise, slow_study
from tests.hosts.commands import (
    DASHBOARD,
    command_output,
    dashboard,
    http_status,
    post_json,
    run_command,
    running,
    ssh,
    wait_for,
)
from tests.hosts.hosts import Host
from tests.hosts.on_premise import FILE, KEY
from tests.hosts.queries import (
    alive_hosts,
    assert_closed,
    assert_refused,
    host_environment,
    listening_ports,
    scan_ports,
    total_epochs,
    worker_hosts,
)
from tests.hosts.testbed import HostTestbed, create_testbed
from tests.support.small_studies import logs

STORE = "/srv/runs"

STUDY = (
    f"nowt ablate /srv/lab/study.py --store {STORE} --workers 2 --slots 1 --model.norm_group 16 --checkpoint-seconds 5"
)


@pytest.fixture(scope="module")
def cluster(testbed_folder: Path) -> Iterator[HostTestbed]:
    """A running Ray cluster of three hosts with a firewall, and a laptop."""
    with create_testbed(testbed_folder, on_premise.ADDRESSES) as testbed:
        on_premise.set_up(testbed)
        command_output(testbed["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
        wait_for(lambda: alive_hosts(testbed) == {"head", "one", "two"}, "all hosts in the cluster")
        yield testbed


@pytest.fixture(scope="module")
def study(cluster: HostTestbed) -> Path:
    """The folder of a running study, on the shared disk. It was submitted through a tunnel that has since been closed,
    as when a user shuts the laptop. The study starts while the first tests scan the ports."""
    folder = slow_study.write_study(cluster.shared, seeds=(0, 1))
    with dashboard(cluster["laptop"], FILE):
        command_output(
            cluster["laptop"], f"ray job submit --address {DASHBOARD} --submission-id paced --no-wait -- {STUDY}"
        )
    return folder


def test_ray_start_reports_a_missing_or_wrong_token(cluster: HostTestbed, study: Path) -> None:
    stranger = cluster["two"].folder / "root" / "stranger"
    (stranger / ".ray").mkdir(parents=True)
    for token, error in (("", "no authentication token was found"), ("0" * 64, "token is missing or incorrect")):
        if token:
            (stranger / ".ray" / "auth_token").write_text(token)
        environment = {**host_environment(), "HOME": "/root/stranger"}
        result = cluster["two"].run(f"ray start --address={cluster['head'].address}:6379", **environment)
        last = result.output.strip().splitlines()[-1]
        assert result.exit_code == 1 and "AuthenticationError" in last and error in last, result.output
    assert alive_hosts(cluster) == {"head", "one", "two"}


def test_a_host_of_the_cluster_without_the_token_can_only_check_the_health_of_ray(cluster: HostTestbed) -> None:
    for source, target in (("one", "head"), ("one", "two"), ("head", "one")):
        assert_refused(scan_ports(cluster[source], cluster[target].address))


def test_every_port_is_closed_to_a_host_outside_the_cluster(cluster: HostTestbed) -> None:
    for host in cluster.cluster_hosts:
        assert_closed(scan_ports(cluster["laptop"], host.address))


def test_mlflow_is_available_only_through_a_tunnel(cluster: HostTestbed, study: Path) -> None:
    wait_for(lambda: total_epochs(store_of(cluster)) >= 2, "the first epochs")
    head = f"root@{cluster['head'].address}"
    url = "http://127.0.0.1:5000"
    with (
        running(
            cluster["laptop"], f'ray exec {FILE} "nowt ui --store {STORE} --port 5000 --no-password"', "ui"
        ) as server,
        running(cluster["laptop"], f"{ssh(KEY)} -N -L 5000:127.0.0.1:5000 {head}", "tunnel"),
    ):
        wait_for(lambda: http_status(cluster["laptop"], url).startswith("200 "), server)
        found = post_json(cluster["laptop"], f"{url}/api/2.0/mlflow/experiments/search", {"max_results": 10})
        experiments = [each["experiment_id"] for each in found["experiments"] if each["name"].startswith("paced")]
        runs = post_json(cluster["laptop"], f"{url}/api/2.0/mlflow/runs/search", {"experiment_ids": experiments})
        assert "paced" in json.dumps(runs)
        for host in (cluster["laptop"], cluster["one"]):
            assert not http_status(host, f"http://{cluster['head'].address}:5000")
            assert not http_status(host, f"http://{cluster['head'].address}:8265")
    # MLflow survives its terminal; the brackets keep the pattern from matching pkill's own command
    run_command(cluster["laptop"], f"ray exec {FILE} \"pkill -u root -f '[m]lflow.*--port 5000'\"")
    wait_for(
        lambda: not any("mlflow" in command for command in cluster["head"].processes().values()), "the end of MLflow"
    )


def test_no_listening_port_is_open_to_the_outside_during_a_distributed_run(cluster: HostTestbed, study: Path) -> None:
    worker_host(cluster, study)
    found = {host.address: listening_ports(host) for host in cluster.cluster_hosts}
    ephemeral = set(range(32768, 61000)) - {44217, 44227, 52365}
    assert ephemeral & set().union(*found.values())  # the rendezvous port of the workers, and gloo's ports
    for address, ports in found.items():
        assert_closed(scan_ports(cluster["laptop"], address, ports))


def test_the_study_continues_after_a_network_partition_and_the_host_rejoins(cluster: HostTestbed, study: Path) -> None:
    lost = worker_host(cluster, study)
    cluster.network.disconnect(lost.name)
    wait_for(lambda: lost.name not in alive_hosts(cluster), f"the loss of {lost.name}")
    before = total_epochs(store_of(cluster))
    cluster.network.reconnect(lost.name)
    wait_for(lambda: total_epochs(store_of(cluster)) > before + 1, "more epochs")
    wait_for(lambda: lost.name in alive_hosts(cluster), f"{lost.name} in the cluster again")


def test_the_study_continues_after_a_raylet_is_killed_and_the_host_rejoins(cluster: HostTestbed, study: Path) -> None:
    lost = worker_host(cluster, study)
    before = total_epochs(store_of(cluster))
    lost.kill("/raylet")
    wait_for(lambda: lost.name not in alive_hosts(cluster), f"the loss of {lost.name}")
    wait_for(lambda: total_epochs(store_of(cluster)) > before + 1, "more epochs")
    wait_for(lambda: lost.name in alive_hosts(cluster), f"{lost.name} in the cluster again")


def test_a_host_that_ray_gave_up_rejoins_after_the_command_that_doctor_prints(
    cluster: HostTestbed, study: Path
) -> None:
    finish_a_run(cluster, study)
    lost = worker_host(cluster, study)
    failures = failed_starts(cluster)
    cluster.network.disconnect(lost.name)
    wait_for(lambda: failed_starts(cluster) > failures, f"Ray to give up on {lost.name}")
    before = total_epochs(store_of(cluster))
    wait_for(lambda: total_epochs(store_of(cluster)) > before + 1, "more epochs")
    cluster.network.reconnect(lost.name)
    doctor = f"cd ~/nowt && RAY_ADDRESS=auto nowt doctor --cluster {FILE}"
    result = run_command(cluster["laptop"], f"ray exec {FILE} '{doctor}' 2>&1")
    (line,) = [line for line in result.output.splitlines() if "has left the cluster" in line]
    assert result.exit_code == 1 and f"{lost.address} has left the cluster; restart it with: ssh " in line
    command = line.partition(" restart it with: ")[2].strip()
    command_output(cluster["laptop"], command.replace("ssh ", f"{ssh(KEY)} ", 1))
    wait_for(lambda: lost.name in alive_hosts(cluster), f"{lost.name} in the cluster again")


def test_the_study_finishes_with_all_epochs_of_all_runs(cluster: HostTestbed, study: Path) -> None:
    slow_study.unthrottle(study)
    with dashboard(cluster["laptop"], FILE):
        output = command_output(cluster["laptop"], f"ray job logs --address {DASHBOARD} --follow paced 2>&1")
        assert "4 of 4 runs finished" in output
        assert (
            "succeeded" in command_output(cluster["laptop"], f"ray job status --address {DASHBOARD} paced 2>&1").lower()
        )
    found = logs(store_of(cluster))
    assert {name: run.state for name, run in found.items()} == dict.fromkeys(
        ("paced 0", "paced 1", "bp 0", "bp 1"), "finished"
    )
    for name, run in found.items():
        last = 3 if name.startswith("bp") else slow_study.EPOCHS
        assert [epoch.epoch for epoch in run.epochs] == list(range(last + 1))
    assert sum(run.attempts - 1 for run in found.values()) >= 3  # the losses above, each resumed from a checkpoint


def test_ray_down_leaves_no_process_on_any_host(cluster: HostTestbed) -> None:
    command_output(cluster["laptop"], f"ray down -y {FILE} 2>&1")
    for host in cluster.cluster_hosts:  # follow.sh stops Ray on the workers one minute after the head's
        wait_for(lambda host=host: not host.processes(), f"the end of {host.processes()} on {host.name}", 180)


def store_of(testbed: HostTestbed) -> Path:
    """The path of the study's store on the shared disk."""
    return testbed.shared / "runs"


def worker_host(testbed: HostTestbed, folder: Path) -> Host:
    """A host other than the head on which the current run has a worker."""
    return testbed[min(worker_hosts(folder))]


def finish_a_run(testbed: HostTestbed, folder: Path) -> None:
    """Let the current run finish: it has been resumed twice, and the next interruption must meet another run."""
    slow_study.unthrottle(folder)
    wait_for(lambda: logs(store_of(testbed))["paced 0"].state == "finished", "the end of the first run")
    slow_study.throttle(folder)


def failed_starts(testbed: HostTestbed) -> int:
    """The number of times Ray's autoscaler failed to start Ray on a host; it does not try that host again."""
    autoscaler_logs = (testbed["head"].folder / "tmp" / "ray").glob("session_2*/logs/monitor.out")
    return sum(path.read_text().count("update-failed") for path in autoscaler_logs)
