"""Hosts of one's own, from `ray up` to `ray down`, in docs/cluster.md's words; hosts and Rays are lost on the way."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import on_premise, paced
from tests.hosts.asked import (
    alive,
    environment_of_a_host,
    last_epoch,
    listened_at,
    must_be_closed,
    must_be_refused,
    seen_from,
    workers,
)
from tests.hosts.commands import DASHBOARD, dashboard, done, going_on, posted, reached, ssh, typed, wait
from tests.hosts.hosts import Host
from tests.hosts.lab import Lab, machines
from tests.hosts.on_premise import FILE, KEY
from tests.support.small_studies import logs

STORE = "/srv/runs"

STUDY = (
    f"nowt ablate /srv/lab/study.py --store {STORE} --workers 2 --slots 1 --model.norm_group 16 --checkpoint-seconds 5"
)


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Lab]:
    """Three hosts and a laptop, a firewall on the hosts, and Ray on all three."""
    with machines(place, on_premise.ADDRESSES) as lab:
        on_premise.lay_out(lab)
        done(lab["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
        wait(lambda: alive(lab) == {"head", "one", "two"}, "all hosts in the cluster")
        yield lab


@pytest.fixture(scope="module")
def study(up: Lab) -> Path:
    """A study's folder on the shared disk. It was submitted through a tunnel that is gone, as a laptop's lid closes.
    It starts while the first tests look at the ports."""
    folder = paced.write(up.shared, seeds=(0, 1))
    with dashboard(up["laptop"], FILE):
        done(up["laptop"], f"ray job submit --address {DASHBOARD} --submission-id paced --no-wait -- {STUDY}")
    return folder


def test_a_host_without_the_token_or_with_a_wrong_one_is_told_so(up: Lab, study: Path) -> None:
    stranger = up["two"].folder / "root" / "stranger"
    (stranger / ".ray").mkdir(parents=True)
    for token, told in (("", "no authentication token was found"), ("0" * 64, "token is missing or incorrect")):
        if token:
            (stranger / ".ray" / "auth_token").write_text(token)
        here = {**environment_of_a_host(), "HOME": "/root/stranger"}
        said = up["two"].run(f"ray start --address={up['head'].address}:6379", **here)
        last = said.text.strip().splitlines()[-1]
        assert said.code == 1 and "AuthenticationError" in last and told in last, said.text
    assert alive(up) == {"head", "one", "two"}


def test_without_the_token_another_host_of_the_cluster_can_do_no_more_than_see_that_ray_lives(up: Lab) -> None:
    for seer, seen in (("one", "head"), ("one", "two"), ("head", "one")):
        must_be_refused(seen_from(up[seer], up[seen].address))


def test_from_a_host_outside_the_cluster_every_port_is_closed(up: Lab) -> None:
    for host in up.cluster:
        must_be_closed(seen_from(up["laptop"], host.address))


def test_the_records_are_browsed_through_a_tunnel_and_in_no_other_way(up: Lab, study: Path) -> None:
    wait(lambda: last_epoch(store_of(up)) >= 2, "the first epochs")
    head = f"root@{up['head'].address}"
    page = "http://127.0.0.1:5000"
    with (
        going_on(up["laptop"], f'ray exec {FILE} "nowt ui --store {STORE} --port 5000"', "ui") as server,
        going_on(up["laptop"], f"{ssh(KEY)} -N -L 5000:127.0.0.1:5000 {head}", "tunnel"),
    ):
        wait(lambda: reached(up["laptop"], page).startswith("200 "), server)
        found = posted(up["laptop"], f"{page}/api/2.0/mlflow/experiments/search", {"max_results": 10})
        experiments = [each["experiment_id"] for each in found["experiments"] if each["name"].startswith("paced")]
        runs = posted(up["laptop"], f"{page}/api/2.0/mlflow/runs/search", {"experiment_ids": experiments})
        assert "paced" in json.dumps(runs)
        for stranger in (up["laptop"], up["one"]):
            assert not reached(stranger, f"http://{up['head'].address}:5000")
            assert not reached(stranger, f"http://{up['head'].address}:8265")
    # it outlives its terminal; the brackets keep the command from finding itself
    typed(up["laptop"], f"ray exec {FILE} \"pkill -u root -f '[m]lflow.*--port 5000'\"")
    wait(lambda: not any("mlflow" in words for words in up["head"].processes().values()), "MLflow's end")


def test_while_workers_share_a_run_no_port_at_which_a_host_listens_is_open_to_the_outside(up: Lab, study: Path) -> None:
    a_worker(up, study)
    found = {host.address: listened_at(host) for host in up.cluster}
    free = set(range(32768, 61000)) - {44217, 44227, 52365}
    assert free & set().union(*found.values())  # where workers meet, and gloo's
    for address, ports in found.items():
        must_be_closed(seen_from(up["laptop"], address, ports))


def test_a_host_that_is_cut_off_is_done_without_and_is_back_when_its_cable_is(up: Lab, study: Path) -> None:
    lost = a_worker(up, study)
    up.world.cut(lost.name)
    wait(lambda: lost.name not in alive(up), f"the loss of {lost.name}")
    before = last_epoch(store_of(up))
    up.world.mend(lost.name)
    wait(lambda: last_epoch(store_of(up)) > before + 1, "more epochs")
    wait(lambda: lost.name in alive(up), f"{lost.name} in the cluster again")


def test_a_host_whose_raylet_is_killed_is_done_without_and_comes_back(up: Lab, study: Path) -> None:
    lost = a_worker(up, study)
    before = last_epoch(store_of(up))
    lost.kill("/raylet")
    wait(lambda: lost.name not in alive(up), f"the loss of {lost.name}")
    wait(lambda: last_epoch(store_of(up)) > before + 1, "more epochs")
    wait(lambda: lost.name in alive(up), f"{lost.name} in the cluster again")


def test_a_host_that_is_away_too_long_stays_away_until_it_is_started_as_the_doctor_says(up: Lab, study: Path) -> None:
    finish_a_run(up, study)
    lost = a_worker(up, study)
    tries = given_up(up)
    up.world.cut(lost.name)
    wait(lambda: given_up(up) > tries, f"Ray to give {lost.name} up")
    before = last_epoch(store_of(up))
    wait(lambda: last_epoch(store_of(up)) > before + 1, "more epochs")
    up.world.mend(lost.name)
    said = typed(up["laptop"], f"ray exec {FILE} 'cd ~/nowt && RAY_ADDRESS=auto nowt doctor --cluster {FILE}' 2>&1")
    (line,) = [line for line in said.text.splitlines() if "has left the cluster" in line]
    assert said.code == 1 and f"{lost.address} has left the cluster; restart it with: ssh " in line
    command = line.partition(" restart it with: ")[2].strip()
    done(up["laptop"], command.replace("ssh ", f"{ssh(KEY)} ", 1))
    wait(lambda: lost.name in alive(up), f"{lost.name} in the cluster again")


def test_the_study_ends_whole(up: Lab, study: Path) -> None:
    (study / "slowly").unlink()
    with dashboard(up["laptop"], FILE):
        said = done(up["laptop"], f"ray job logs --address {DASHBOARD} --follow paced 2>&1")
        assert "4 of 4 runs finished" in said
        assert "succeeded" in done(up["laptop"], f"ray job status --address {DASHBOARD} paced 2>&1").lower()
    found = logs(store_of(up))
    assert {name: run.state for name, run in found.items()} == dict.fromkeys(
        ("paced 0", "paced 1", "bp 0", "bp 1"), "finished"
    )
    for name, run in found.items():
        assert [epoch.epoch for epoch in run.epochs] == list(range(4 if name.startswith("bp") else paced.EPOCHS + 1))
    assert sum(run.attempts - 1 for run in found.values()) >= 3  # the losses above, each taken up from a checkpoint


def test_afterwards_nothing_is_left_running_on_any_host(up: Lab) -> None:
    done(up["laptop"], f"ray down -y {FILE} 2>&1")
    for host in up.cluster:  # follow.sh ends the workers' Ray a minute after its head
        wait(lambda host=host: not host.processes(), f"the end of {host.processes()} on {host.name}", 180)


def store_of(lab: Lab) -> Path:
    """Where the study's store is for this test."""
    return lab.shared / "runs"


def a_worker(lab: Lab, folder: Path) -> Host:
    """A host, not the head, on which a worker of the run in progress is."""
    return lab[min(workers(folder))]


def finish_a_run(lab: Lab, folder: Path) -> None:
    """Let the run in progress go to its end: it has been taken up twice, and another one is to be disturbed next."""
    (folder / "slowly").unlink()
    wait(lambda: logs(store_of(lab))["paced 0"].state == "finished", "the end of the first run")
    (folder / "slowly").touch()


def given_up(lab: Lab) -> int:
    """How many times Ray's autoscaler has failed to start Ray on a host, after which it tries that host no more."""
    logs_of_autoscaler = (lab["head"].folder / "tmp" / "ray").glob("session_2*/logs/monitor.out")
    return sum(path.read_text().count("update-failed") for path in logs_of_autoscaler)
