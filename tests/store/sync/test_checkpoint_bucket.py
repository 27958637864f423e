"""Checkpoints in a bucket: a run goes on from there when its disk is gone, and never from half a one. On moto's S3."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nowt.cli.main import main
from nowt.config.placement import Placement
from nowt.config.run_config import RunConfig
from nowt.config.run_key import run_key
from nowt.core.distributed import Group
from nowt.execution import checkpoint_upload
from nowt.execution.job import Job, perform
from nowt.execution.preparation import gone, pictures_of, plan_run
from nowt.store.records import epoch_from_json
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from nowt.training.loop import TrainingInterrupted, train
from tests.support.mlflow_contents import epoch
from tests.support.mlflow_contents import start as begun
from tests.support.short_runs import CPU, after, numbers, short_run
from tests.support.small_studies import wait_for

PLACE = "s3://lab/checkpoints"

CONFIG = short_run("kp", epochs=3)

STATE, LABEL = "step-000000005.pt", "step-000000005.json"


@contextmanager
def made_bucket() -> Iterator[Bucket]:
    """An empty bucket; gone afterwards."""
    found = Bucket.at(PLACE)
    found.client.create_bucket(Bucket="lab")
    yield found
    found.remove(found.names(""))
    found.client.delete_bucket(Bucket="lab")
    found.client.close()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, which is looked after more often than its users' are."""
    monkeypatch.setattr(checkpoint_upload, "LOOK_SECONDS", 0.05)
    with made_bucket() as made:
        yield made


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """What the run measures when nothing happens to it."""
    return numbers(train(CONFIG, CPU))


@dataclass
class Machine:
    """A machine with a disk of its own, on which one run is done; what it said, and which step it began with."""

    disk: Path
    place: Placement
    config: RunConfig = CONFIG
    said: tuple[str, ...] = ()
    measured: tuple[dict[str, Any], ...] = ()
    end: str = ""

    @property
    def key(self) -> str:
        return run_key(self.config, pictures_of(self.config, self.place)["fingerprint"])

    @property
    def steps(self) -> list[str]:
        """The checkpoints on its disk."""
        return sorted(path.name for path in (self.disk / "checkpoints" / self.key).glob("*"))

    def work(self, should_stop: Callable[[], bool] = lambda: False, between: Callable[[], None] = lambda: None) -> None:
        """Do the run until it ends or is stopped; ``between`` is called after each epoch."""
        try:
            for message in perform(Job(self.key, self.config, self.place), should_stop):
                if message["kind"] == "remark":
                    self.said += (message["text"],)
                if message["kind"] == "epoch":
                    self.measured += tuple(numbers([epoch_from_json(message["epoch"])]))
                    between()
                if message["kind"] == "end":
                    self.end = message["state"] + message["reason"]
        except TrainingInterrupted:
            self.end = "stopped"


@pytest.fixture
def machine(tmp_path: Path, bucket: Bucket) -> Callable[..., Machine]:
    """Makes a machine by its name."""

    def made(name: str, **fields: Any) -> Machine:
        disk = tmp_path / name
        disk.mkdir(exist_ok=True)
        return Machine(disk, Placement(store=str(disk), device="cpu", checkpoints=PLACE, **fields))

    return made


@pytest.fixture(scope="module")
def left(s3: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that was stopped after batch 5 leaves in its bucket."""
    disk = tmp_path_factory.mktemp("lost")
    with made_bucket() as bucket:
        lost = Machine(disk, Placement(store=str(disk), device="cpu", checkpoints=PLACE))
        lost.work(after(5), lambda: wait_for(lambda: lost.steps[-1] in str(steps(bucket)), 30, "the epoch's copy"))
        return {name: bucket.get(name) or b"" for name in bucket.names("")}


@pytest.fixture
def stopped(left: dict[str, bytes], bucket: Bucket) -> str:
    """The key of a run whose disk is gone, and whose checkpoints of steps 3 and 5 lie in the bucket."""
    for name, body in left.items():
        bucket.put(name, body)
    assert steps(bucket) == pair(3) + pair(5)
    return next(iter(left)).partition("/")[0]


def steps(bucket: Bucket) -> list[str]:
    """What lies in the bucket, without the runs' keys."""
    return sorted(name.partition("/")[2] for name in bucket.names(""))


def pair(step: int) -> list[str]:
    return [f"step-{step:09d}.json", f"step-{step:09d}.pt"]


def test_two_are_in_the_bucket_while_a_run_goes_and_one_after_it(machine: Any, bucket: Bucket) -> None:
    found: list[list[str]] = []

    def look() -> None:
        newest = one.steps[-1].replace(".pt", ".json")
        wait_for(lambda: newest in steps(bucket) and len(steps(bucket)) <= 4, 30, newest)
        found.append(steps(bucket))

    one = machine("one")
    one.work(between=look)
    assert (one.end, one.said) == ("finished", ())
    assert found == [pair(0), pair(0) + pair(3), pair(3) + pair(6), pair(6) + pair(9)]
    assert steps(bucket) == pair(9) and one.steps == ["step-000000009.pt"]


def test_a_run_goes_on_elsewhere_as_if_it_had_not_stopped(
    machine: Any, bucket: Bucket, expected: list[dict[str, Any]]
) -> None:
    one, two = machine("one"), machine("two")
    one.work(after(2))
    assert one.end == "stopped" and one.steps[-1] == pair(2)[1]
    two.work(after(3))  # it goes on from that very batch
    assert two.steps[-1] == pair(5)[1]
    one.work()  # and back again, where an older one lies
    assert one.end == "finished" and list(one.measured[-4:]) == expected
    assert one.said == two.said == () and not [name for name in two.steps if "tmp" in name]


def test_the_disks_own_is_taken_where_it_is_the_newer_one(machine: Any, bucket: Bucket) -> None:
    one = machine("one")
    one.work(after(2))
    bucket.remove([f"{one.key}/{name}" for name in pair(2)])  # as if it had never come there
    one.work(after(1))
    assert one.steps == ["step-000000002.pt", "step-000000003.pt"]


def test_a_checkpoint_whose_label_is_missing_is_not_taken(machine: Any, bucket: Bucket, stopped: str) -> None:
    two = machine("two")
    bucket.remove([f"{stopped}/{LABEL}"])
    two.work(after(1))
    assert two.steps == ["step-000000003.pt", "step-000000004.pt"]
    assert steps(bucket) == pair(3) + pair(4)  # what was cut off is gone


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (LABEL, b"{", "has an invalid label"),
        (LABEL, b'{"name": "step-000000005.pt"}', "has an invalid label"),
        (LABEL, b'{"name": "a", "size": 1, "sha256": "", "schema": 2}', "has label schema 2, this nowt reads up to 1"),
        (STATE, b"half a check", "does not match its label"),
    ],
)
def test_a_broken_one_is_named_and_the_one_before_it_is_taken(
    name: str, content: bytes, fault: str, bucket: Bucket, stopped: str, tmp_path: Path
) -> None:
    said: list[str] = []
    bucket.put(f"{stopped}/{name}", content)
    CheckpointBucket.of(PLACE, stopped).fetch(tmp_path, (), 0, said.append)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003.pt"]
    (line,) = said
    assert fault in line and line.startswith(f"checkpoint {PLACE}/{stopped}/{STATE} ")
    assert line.endswith(": using the one before it")


def test_a_run_whose_newest_checkpoint_has_a_flipped_bit_ends_as_if_it_had_not(
    machine: Any, bucket: Bucket, stopped: str, expected: list[dict[str, Any]]
) -> None:
    data = bytearray(bucket.get(f"{stopped}/{STATE}") or b"")
    data[len(data) // 2] ^= 1
    bucket.put(f"{stopped}/{STATE}", bytes(data))
    two = machine("two")
    two.work()
    assert len(two.said) == 1 and "does not match its label" in two.said[0]
    assert two.end == "finished" and list(two.measured[-4:]) == expected and steps(bucket) == pair(9)


def test_a_broken_one_on_the_disk_is_replaced_by_the_buckets(machine: Any, bucket: Bucket, stopped: str) -> None:
    two = machine("two")
    folder = two.disk / "checkpoints" / stopped
    folder.mkdir(parents=True)
    (folder / STATE).write_bytes(b"torn")
    two.work(after(1))
    assert two.steps == ["step-000000005.pt", "step-000000006.pt"]
    assert len(two.said) == 1
    assert two.said[0].endswith("cannot be read (it is cut short or no checkpoint): it is removed")


def test_those_that_stay_are_in_the_bucket_too_and_are_not_missed(machine: Any, bucket: Bucket) -> None:
    one = machine("one", keep=(1,))
    one.work()
    assert steps(bucket) == ["epoch-000001.json", "epoch-000001.pt", *pair(9)]
    writer = begun(one.disk, one.key)
    for number in range(3):
        writer.epoch(epoch(number))
    shutil.rmtree(one.disk / "checkpoints")
    assert gone(one.disk, [one.key], (1,), PLACE) == ""
    assert "(1)" in gone(one.disk, [one.key], (1,))


class Pair(Group):
    """One of two workers; what the other one offers is given."""

    size = 2

    def __init__(self, other: list[int]) -> None:
        self.other = torch.tensor(other)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        return [tensor, self.other]


def test_workers_with_disks_of_their_own_go_on_from_what_all_of_them_have(
    machine: Any, bucket: Bucket, stopped: str
) -> None:
    one = machine("one")
    folder = one.disk / "checkpoints" / stopped
    CheckpointBucket.of(PLACE, stopped).fetch(folder, (), 0, print)
    assert one.steps == ["step-000000005.pt"]
    bucket.remove([f"{stopped}/{name}" for name in pair(5)])  # the other one cannot have it
    for other, there in (([-1, 3], ["step-000000003.pt"]), ([-1], [])):
        with checkpoint_upload.carried(PLACE, folder, Pair(other + [-1] * (9 - len(other))), []):
            assert one.steps == there


def test_an_unreachable_bucket_does_not_stop_the_training_and_is_tried_again(
    machine: Any, bucket: Bucket, expected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    down, refused, whole = [False], [], Bucket.names

    def names(self: Bucket, under: str) -> list[str]:
        if not down[0]:
            return whole(self, under)
        refused.append(under)
        raise OSError(f"{self.url} cannot be used: no network, {len(refused)}")

    def cut() -> None:  # after epoch 0, until after epoch 2
        done = len(one.measured) - 1
        wait_for(lambda: len(refused) >= done if down[0] else pair(3 * done)[0] in steps(bucket), 60, f"epoch {done}")
        down[0] = done < 2

    monkeypatch.setattr(Bucket, "names", names)
    one = machine("one")
    one.work(between=cut)
    assert one.end == "finished" and list(one.measured) == expected
    assert [line.partition("; ")[2] or line for line in one.said] == [
        "training goes on, and it is tried again at the next checkpoint",
        f"{PLACE}/{one.key} is reached again",
    ]
    assert steps(bucket) == pair(9)


def test_the_end_of_a_run_that_could_not_be_sent_is_told(
    machine: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one")
    cut = partial(monkeypatch.setenv, "AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    def no(self: Bucket, name: str, body: bytes | Path) -> None:
        raise OSError(f"{self.url} cannot be used: no")

    one.work(between=lambda: monkeypatch.setattr(Bucket, "put", no))
    assert one.end == "finished"
    assert one.said[-1].endswith(f"the run's last checkpoint may lie in {one.disk}/checkpoints/{one.key} alone")
    cut()
    monkeypatch.setattr(checkpoint_upload, "BRING_SECONDS", 0.2)
    monkeypatch.setattr(checkpoint_upload, "BRING_PAUSE", 0.1)
    two = machine("two")
    two.work()
    assert len(two.said) == 1 and two.said[0].endswith("; the run waits for it, 0.2 s at most")
    assert two.end.startswith("failed") and two.end.splitlines()[-1].startswith("OSError: s3://lab/checkpoints/")


def test_a_run_that_starts_while_the_bucket_is_away_waits_and_goes_on_from_its_checkpoint(
    machine: Any, bucket: Bucket, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, whole = [], Bucket.names

    def names(self: Bucket, under: str) -> list[str]:
        if len(refused) == 3:
            return whole(self, under)
        refused.append(under)
        raise OSError(f"{self.url} cannot be used: no network")

    monkeypatch.setattr(checkpoint_upload, "BRING_PAUSE", 0.05)
    monkeypatch.setattr(Bucket, "names", names)
    two = machine("two")
    two.work(after(1))
    assert two.steps == ["step-000000005.pt", "step-000000006.pt"]
    url = f"{PLACE}/{stopped}"
    assert two.said == (
        f"{url} cannot be used: no network; the run waits for it, 300 s at most",
        f"{url} is reached again",
    )


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("s3://lab", "'s3://lab' is not a folder in a bucket: give s3://BUCKET/PREFIX"),
        ("runs", "'runs' is not a folder in a bucket"),
        ("s3://nobody/has/it", "s3://nobody/has/it cannot be used: "),
    ],
)
def test_a_bucket_that_cannot_be_used_is_told_at_the_start(
    place: str, fault: str, tmp_path: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["train", "digits"], ["ablate", "rules_on_digits"], ["search", "kolen_pollack"]):
        assert main([*words, "--store", str(tmp_path / "none"), "--checkpoints", place]) == 2
        said = capsys.readouterr().err
        assert fault in said and len(said.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_where_it_lies_is_not_in_a_runs_key_and_travels_to_a_worker(s3: str) -> None:
    pictures = pictures_of(CONFIG, CPU)
    job = Job(plan_run("kp", CONFIG, pictures).key, CONFIG, replace(CPU, checkpoints=PLACE))
    assert Job.from_text(job.to_text()).placement.checkpoints == PLACE
    assert job.key == run_key(CONFIG, pictures["fingerprint"])
