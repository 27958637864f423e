"""cluster.yaml from an empty account to an empty account: AWS is a stand-in, its machines are hosts that answer."""

from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.hosts import on_aws, paced
from tests.hosts.asked import alive, last_epoch, must_be_closed, must_be_refused, seen_from, workers
from tests.hosts.cloud import ADDRESSES, Cloud, account
from tests.hosts.commands import DASHBOARD, dashboard, done, going_on, posted, reached, ssh, typed, wait
from tests.hosts.lab import machines
from tests.hosts.on_aws import FILE, KEY
from tests.support.moto_cloud import BUCKET
from tests.support.small_studies import logs

STUDY = (
    f"nowt ablate /srv/lab/study.py --store /root/runs --checkpoints s3://{BUCKET}/checkpoints --workers 2 --slots 1 "
    "--device cpu --model.norm_group 16 --checkpoint-seconds 5"
)

EPOCHS = 100  # of its one paced run, which is disturbed five times and is not to be over before


@pytest.fixture(scope="module")
def up(place: Path) -> Iterator[Cloud]:
    """A head, by the commands of docs/cluster.md."""
    with machines(place, ADDRESSES) as lab, account(lab) as cloud:
        assert "done: make the security group" in on_aws.lay_out(cloud)
        assert "fine   security group" in done(lab["laptop"], f"nowt doctor --cluster {FILE}")
        done(lab["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
        yield cloud


@pytest.fixture(scope="module")
def study(up: Cloud) -> Path:
    """A study's folder, which all machines see; it was submitted through a tunnel, and machines were started for it."""
    folder = paced.write(up.lab.shared, seeds=(0,), epochs=EPOCHS)
    with dashboard(up.lab["laptop"], FILE):
        job(up, "submit", f"--submission-id paced --no-wait -- {STUDY}")
    wait(lambda: last_epoch(store_of(up)) >= 1, "the first epoch")
    return folder


def test_the_head_has_the_buckets_pictures_and_starts_no_worker_without_work(up: Cloud) -> None:
    assert up.head.do("cat data/pictures/one.txt data/more/two.txt") == "one\none\n"
    assert alive(up.lab) == {"head"}
    assert typed(up.lab["laptop"], f"ray get-head-ip {FILE}").text.split()[-1] == up.public(up.head)


def test_of_the_head_the_user_reaches_ssh_alone_and_others_nothing(up: Cloud) -> None:
    address = up.public(up.head)
    enter = f"{ssh(KEY)} -o ConnectTimeout=3 root@{address} hostname"
    assert done(up.lab["laptop"], enter).split() == ["head"]
    assert "timed out" in up.lab["stranger"].run(enter).text
    for name in ("laptop", "stranger"):
        must_be_closed(seen_from(up.lab[name], address))


def test_without_the_token_a_worker_can_do_no_more_than_see_that_ray_lives(up: Cloud, study: Path) -> None:
    must_be_refused(seen_from(up.lab["worker"], up.head.address))


def test_a_run_of_two_workers_is_shared_by_two_spot_machines_started_for_it(up: Cloud, study: Path) -> None:
    two_at_work(study)
    found = [m for m in up.machines() if m["PrivateIpAddress"] != up.head.address]
    assert {(m["InstanceType"], m.get("InstanceLifecycle")) for m in found} == {("g6.xlarge", "spot")}


def test_on_the_head_the_doctor_finds_file_account_and_nodes_in_order(up: Cloud, study: Path) -> None:
    asked = "cd nowt && RAY_ADDRESS=auto nowt doctor --cluster --data-dir ~/data/pictures"
    said = typed(up.lab["laptop"], f"ray exec {FILE} '{asked}' 2>&1").text
    for thing in ("cluster.yaml", "security group", "roles", "nodes", "versions", "clocks", "tokens", "images"):
        assert f"fine   {thing}: " in said, said


def test_on_a_spot_machine_nothing_answers_the_outside_and_nothing_without_the_token(up: Cloud, study: Path) -> None:
    one, two = (up.lab[name] for name in two_at_work(study))
    must_be_refused(seen_from(one, two.address))
    must_be_closed(seen_from(up.lab["laptop"], up.public(two)))


def test_the_records_are_browsed_with_a_password_through_a_tunnel(up: Cloud, study: Path) -> None:
    here, page = up.lab["laptop"], "http://127.0.0.1:5000"
    found = ConfigParser()
    found.read_string((up.head.folder / "root" / "runs" / "keeper" / "credentials").read_text())
    login = ":".join(found["mlflow"][f"mlflow_tracking_{part}"] for part in ("username", "password"))
    with going_on(here, f"nowt ui --cluster {FILE}", "ui") as tunnel:
        wait(lambda: f"MLflow is available at {page}" in tunnel.log.read_text(), tunnel)
        assert not reached(here, page)
        assert "experiments" in posted(here, f"{page}/api/2.0/mlflow/experiments/search", {"max_results": 10}, login)


def test_a_spot_machine_that_is_taken_away_is_replaced_and_the_study_goes_on(up: Cloud, study: Path) -> None:
    lost = min(workers(study))
    before = last_epoch(store_of(up))
    up.take_away(lost)
    wait(lambda: last_epoch(store_of(up)) > before + 1, "more epochs")
    assert lost not in workers(study)


def test_a_machine_whose_raylet_is_killed_is_done_without(up: Cloud, study: Path) -> None:
    lost = min(workers(study))
    before = last_epoch(store_of(up))
    up.lab[lost].kill("/raylet")
    wait(lambda: last_epoch(store_of(up)) > before + 1, "more epochs")


def test_a_study_that_is_stopped_goes_on_where_it_was(up: Cloud, study: Path) -> None:
    with dashboard(up.lab["laptop"], FILE):
        job(up, "stop", "paced")
        assert "interrupted; to resume, run the same command again" in job(up, "logs", "paced")
        before = last_epoch(store_of(up))
        job(up, "submit", f"--submission-id again --no-wait -- {STUDY}")
    wait(lambda: last_epoch(store_of(up)) > before, "more epochs")


def test_a_machine_that_is_cut_off_is_done_without_also_when_it_is_reached_again(up: Cloud, study: Path) -> None:
    lost = min(workers(study))  # the new driver's first: it gives up a run at the fourth
    up.lab.world.cut(lost)
    wait(lambda: lost not in alive(up.lab), f"the loss of {lost}")
    before = last_epoch(store_of(up))
    if lost in up.names.values():  # Ray's autoscaler may have ended it already
        up.lab.world.mend(lost)
    wait(lambda: last_epoch(store_of(up)) > before + 1, "more epochs")


def test_a_study_whose_head_is_taken_away_is_gone_on_with_on_a_new_one(up: Cloud, study: Path) -> None:
    before, first = last_epoch(store_of(up)), begun(store_of(up))
    up.take_away(up.head.name)
    done(up.lab["laptop"], f"ray up -y --no-config-cache {FILE} 2>&1")
    assert up.head.name == "head-2"
    with dashboard(up.lab["laptop"], FILE):
        job(up, "submit", f"--submission-id paced --no-wait -- {STUDY}")
    wait(lambda: last_epoch(store_of(up)) >= before, "as many epochs as there were")
    (study / "slowly").unlink()
    with dashboard(up.lab["laptop"], FILE):
        assert "2 of 2 runs finished" in job(up, "logs", "--follow paced")
    assert first.items() <= begun(store_of(up)).items()  # gone on with, not begun anew


def test_the_records_come_home_whole(up: Cloud, study: Path) -> None:
    done(up.lab["laptop"], f"RSYNC_RSH='{ssh(KEY)}' nowt pull root@{up.public(up.head)}:/root/runs")
    for found in (logs(store_of(up)), logs(up.lab["laptop"].folder / "root" / "nowt" / "runs")):
        ends = {name: (run.state, run.last_epoch) for name, run in found.items()}
        assert ends == {"paced 0": ("finished", EPOCHS), "bp 0": ("finished", 3)}
        assert [epoch.epoch for epoch in found["paced 0"].epochs] == list(range(EPOCHS + 1))


def test_afterwards_nothing_is_left_but_the_bucket(up: Cloud) -> None:
    done(up.lab["laptop"], f"ray down -y {FILE} 2>&1")
    assert up.machines() == []
    wait(lambda: not up.names, "the machines' end")
    said = done(up.lab["laptop"], f"nowt cluster teardown {FILE} --yes")
    assert f"kept: s3://{BUCKET}" in said
    for what in ("describe_volumes()['Volumes']", "describe_key_pairs()['KeyPairs']"):
        assert up.ask(f"aws('ec2').{what}") == []
    assert up.ask("[g['GroupName'] for g in aws('ec2').describe_security_groups()['SecurityGroups']]") == ["default"]
    assert up.ask("aws('iam').list_roles()['Roles']") == []


def store_of(up: Cloud) -> Path:
    """Where the study's store is for this test: on the head's own disk."""
    return up.head.folder / "root" / "runs"


def two_at_work(folder: Path) -> list[str]:
    """The two machines on which the run's workers make a step at the same time."""
    return sorted(wait(lambda: len(found := workers(folder)) == 2 and found, "steps on two machines"))


def begun(store: Path) -> dict[str, int]:
    """When each run was begun for the first time, by its name."""
    return {name: run.spans[0].begin for name, run in logs(store).items()}


def job(up: Cloud, verb: str, words: str) -> str:
    """What one of the commands of ``ray job`` says that must succeed."""
    return done(up.lab["laptop"], f"ray job {verb} --address {DASHBOARD} {words} 2>&1")
