"""cluster.yaml on a simulated AWS, from an empty account back to an empty account. Instances are simulated hosts."""

from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.hosts import on_aws, slow_study
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
from tests.hosts.on_aws import FILE, KEY
from tests.hosts.queries import alive_hosts, assert_closed, assert_refused, scan_ports, total_epochs, worker_hosts
from tests.hosts.simulated_aws import ADDRESSES, Cloud, simulated_account
from tests.hosts.testbed import create_testbed
from tests.support.moto_cloud import BUCKET
from tests.support.small_studies import logs

STUDY = (
    f"nowt ablate /srv/lab/study.py --store /root/runs --checkpoints s3://{BUCKET}/checkpoints --workers 2 --slots 1 "
    "--device cpu --model.norm_group 16 --checkpoint-seconds 5"
)

EPOCHS = 100  # of the one throttled run, which is interrupted five times before it may finish


@pytest.fixture(scope="module")
def cluster(testbed_folder: Path) -> Iterator[Cloud]:
    """A running head, set up with the commands of docs/cluster.md."""
    with create_testbed(testbed_folder, ADDRESSES) as testbed, simulated_account(testbed) as cloud:
        assert "done: create the security group" in on_aws.set_up(cloud)
        assert "ok       security group" in command_output(testbed["laptop"], f"nowt doctor --cluster {FILE}")
        command_output(testbed["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
        yield cloud


@pytest.fixture(scope="module")
def study(cluster: Cloud) -> Path:
    """The folder of a running study, on the shared disk. It was submitted through a tunnel; one epoch is complete."""
    folder = slow_study.write_study(cluster.testbed.shared, seeds=(0,), epochs=EPOCHS)
    with dashboard(cluster.testbed["laptop"], FILE):
        ray_job(cluster, "submit", f"--submission-id paced --no-wait -- {STUDY}")
    wait_for(lambda: total_epochs(store_of(cluster)) >= 1, "the first epoch")
    return folder


def test_the_head_has_the_buckets_images_and_starts_no_worker_without_work(cluster: Cloud) -> None:
    assert cluster.head.check_output("cat data/images/one.txt data/more/two.txt") == "one\none\n"
    assert alive_hosts(cluster.testbed) == {"head"}
    assert run_command(cluster.testbed["laptop"], f"ray get-head-ip {FILE}").output.split()[
        -1
    ] == cluster.public_address(cluster.head)


def test_only_the_user_reaches_the_head_and_only_its_ssh_port(cluster: Cloud) -> None:
    address = cluster.public_address(cluster.head)
    login = f"{ssh(KEY)} -o ConnectTimeout=3 root@{address} hostname"
    assert command_output(cluster.testbed["laptop"], login).split() == ["head"]
    assert "timed out" in cluster.testbed["stranger"].run(login).output
    for name in ("laptop", "stranger"):
        assert_closed(scan_ports(cluster.testbed[name], address))


def test_a_worker_without_the_token_can_only_check_the_health_of_the_head(cluster: Cloud, study: Path) -> None:
    assert_refused(scan_ports(cluster.testbed["worker"], cluster.head.address))


def test_a_run_with_two_workers_starts_and_uses_two_spot_machines(cluster: Cloud, study: Path) -> None:
    two_active_hosts(study)
    found = [m for m in cluster.instances() if m["PrivateIpAddress"] != cluster.head.address]
    assert {(m["InstanceType"], m.get("InstanceLifecycle")) for m in found} == {("g6.xlarge", "spot")}


def test_doctor_on_the_head_passes_file_account_and_nodes(cluster: Cloud, study: Path) -> None:
    command = "cd nowt && RAY_ADDRESS=auto nowt doctor --cluster --data-dir ~/data/images"
    output = run_command(cluster.testbed["laptop"], f"ray exec {FILE} '{command}' 2>&1").output
    for subject in ("cluster.yaml", "security group", "roles", "nodes", "versions", "clocks", "tokens", "images"):
        assert f"ok       {subject}: " in output, output


def test_a_spot_machine_refuses_outside_connections_and_calls_without_the_token(cluster: Cloud, study: Path) -> None:
    one, two = (cluster.testbed[name] for name in two_active_hosts(study))
    assert_refused(scan_ports(one, two.address))
    assert_closed(scan_ports(cluster.testbed["laptop"], cluster.public_address(two)))


def test_mlflow_is_available_with_a_password_through_a_tunnel(cluster: Cloud, study: Path) -> None:
    laptop, url = cluster.testbed["laptop"], "http://127.0.0.1:5000"
    credentials = ConfigParser()
    credentials.read_string((cluster.head.folder / "root" / "runs" / "keeper" / "credentials").read_text())
    login = ":".join(credentials["mlflow"][f"mlflow_tracking_{part}"] for part in ("username", "password"))
    with running(laptop, f"nowt ui --cluster {FILE}", "ui") as tunnel:
        wait_for(lambda: f"MLflow is available at {url}" in tunnel.log.read_text(), tunnel)
        assert not http_status(laptop, url)
        search = f"{url}/api/2.0/mlflow/experiments/search"
        assert "experiments" in post_json(laptop, search, {"max_results": 10}, login)


def test_a_terminated_spot_machine_is_replaced_and_the_study_continues(cluster: Cloud, study: Path) -> None:
    lost = min(worker_hosts(study))
    before = total_epochs(store_of(cluster))
    cluster.terminate(lost)
    wait_for(lambda: total_epochs(store_of(cluster)) > before + 1, "more epochs")
    assert lost not in worker_hosts(study)


def test_the_study_continues_after_a_raylet_is_killed(cluster: Cloud, study: Path) -> None:
    lost = min(worker_hosts(study))
    before = total_epochs(store_of(cluster))
    cluster.testbed[lost].kill("/raylet")
    wait_for(lambda: total_epochs(store_of(cluster)) > before + 1, "more epochs")


def test_a_stopped_study_resumes_where_it_was(cluster: Cloud, study: Path) -> None:
    with dashboard(cluster.testbed["laptop"], FILE):
        ray_job(cluster, "stop", "paced")
        assert "interrupted; to resume, run the same command again" in ray_job(cluster, "logs", "paced")
        before = total_epochs(store_of(cluster))
        ray_job(cluster, "submit", f"--submission-id again --no-wait -- {STUDY}")
    wait_for(lambda: total_epochs(store_of(cluster)) > before, "more epochs")


def test_the_study_continues_after_a_network_partition_of_a_worker(cluster: Cloud, study: Path) -> None:
    lost = min(worker_hosts(study))  # the new driver's first loss: it gives up a run at the fourth
    cluster.testbed.network.disconnect(lost)
    wait_for(lambda: lost not in alive_hosts(cluster.testbed), f"the loss of {lost}")
    before = total_epochs(store_of(cluster))
    if lost in cluster.host_names.values():  # Ray's autoscaler may already have terminated it
        cluster.testbed.network.reconnect(lost)
    wait_for(lambda: total_epochs(store_of(cluster)) > before + 1, "more epochs")


def test_a_study_resumes_on_a_new_head_after_the_head_is_terminated(cluster: Cloud, study: Path) -> None:
    before, first_start = total_epochs(store_of(cluster)), first_starts(store_of(cluster))
    cluster.terminate(cluster.head.name)
    command_output(cluster.testbed["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
    assert cluster.head.name == "head-2"
    with dashboard(cluster.testbed["laptop"], FILE):
        ray_job(cluster, "submit", f"--submission-id paced --no-wait -- {STUDY}")
    wait_for(lambda: total_epochs(store_of(cluster)) >= before, "as many epochs as there were")
    slow_study.unthrottle(study)
    with dashboard(cluster.testbed["laptop"], FILE):
        assert "2 of 2 runs finished" in ray_job(cluster, "logs", "--follow paced")
    assert first_start.items() <= first_starts(store_of(cluster)).items()  # resumed, not restarted


def test_pull_copies_the_complete_store_to_the_laptop(cluster: Cloud, study: Path) -> None:
    store = f"root@{cluster.public_address(cluster.head)}:/root/runs"
    command_output(cluster.testbed["laptop"], f"RSYNC_RSH='{ssh(KEY)}' nowt pull {store}")
    for found in (logs(store_of(cluster)), logs(cluster.testbed["laptop"].folder / "root" / "nowt" / "runs")):
        ends = {name: (run.state, run.last_epoch) for name, run in found.items()}
        assert ends == {"paced 0": ("finished", EPOCHS), "bp 0": ("finished", 3)}
        assert [epoch.epoch for epoch in found["paced 0"].epochs] == list(range(EPOCHS + 1))


def test_after_teardown_only_the_bucket_is_left(cluster: Cloud) -> None:
    command_output(cluster.testbed["laptop"], f"ray down -y {FILE} 2>&1")
    assert cluster.instances() == []
    wait_for(lambda: not cluster.host_names, "the end of all machines")
    output = command_output(cluster.testbed["laptop"], f"nowt cluster teardown {FILE} --yes")
    assert f"kept: s3://{BUCKET}" in output
    for query in ("describe_volumes()['Volumes']", "describe_key_pairs()['KeyPairs']"):
        assert cluster.evaluate(f"aws('ec2').{query}") == []
    groups = cluster.evaluate("aws('ec2').describe_security_groups()['SecurityGroups']")
    assert [group["GroupName"] for group in groups] == ["default"]
    assert cluster.evaluate("aws('iam').list_roles()['Roles']") == []


def store_of(cluster: Cloud) -> Path:
    """The path of the study's store, which is on the head's disk."""
    return cluster.head.folder / "root" / "runs"


def two_active_hosts(folder: Path) -> list[str]:
    """Wait until the run's workers make steps on two machines; return the names of both."""
    return sorted(wait_for(lambda: len(found := worker_hosts(folder)) == 2 and found, "steps on two machines"))


def first_starts(store: Path) -> dict[str, int]:
    """The time at which each run was first started, by run name."""
    return {name: run.spans[0].begin for name, run in logs(store).items()}


def ray_job(cluster: Cloud, command: str, args: str) -> str:
    """Return the output of a ``ray job`` command, which must succeed."""
    return command_output(cluster.testbed["laptop"], f"ray job {command} --address {DASHBOARD} {args} 2>&1")
