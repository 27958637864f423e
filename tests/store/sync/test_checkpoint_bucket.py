"""Checkpoints in a bucket: a run whose disk is lost resumes from the newest complete one. On moto's S3."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nowt.config.run_key import run_key
from nowt.core.distributed import SINGLE_WORKER, Group
from nowt.execution import checkpoint_upload
from nowt.execution.job import Job
from nowt.execution.notices import missing_checkpoints_notice
from nowt.execution.preparation import inspect_data, plan_run
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from tests.support.bucket_machines import CONFIG, LABEL, PLACE, STATE, pair, steps
from tests.support.mlflow_contents import epoch
from tests.support.mlflow_contents import start as begun
from tests.support.short_runs import CPU, after
from tests.support.small_studies import wait_for


def test_the_bucket_has_two_checkpoints_during_a_run_and_one_after_it(machine: Any, bucket: Bucket) -> None:
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


def test_a_run_resumed_on_another_machine_gives_the_same_numbers(
    machine: Any, bucket: Bucket, expected: list[dict[str, Any]]
) -> None:
    one, two = machine("one"), machine("two")
    one.work(after(2))
    assert one.end == "stopped" and one.steps[-1] == pair(2)[1]
    two.work(after(3))  # resumes from that batch
    assert two.steps[-1] == pair(5)[1]
    one.work()  # resumes on the first machine, which has an older checkpoint
    assert one.end == "finished" and list(one.measured[-4:]) == expected
    assert one.said == two.said == () and not [name for name in two.steps if "tmp" in name]


def test_a_newer_checkpoint_on_the_disk_is_used(machine: Any, bucket: Bucket) -> None:
    one = machine("one")
    one.work(after(2))
    bucket.remove([f"{one.key}/{name}" for name in pair(2)])  # as if the upload had failed
    one.work(after(1))
    assert one.steps == ["step-000000002.pt", "step-000000003.pt"]


def test_a_checkpoint_without_a_label_is_not_used(machine: Any, bucket: Bucket, stopped: str) -> None:
    two = machine("two")
    bucket.remove([f"{stopped}/{LABEL}"])
    two.work(after(1))
    assert two.steps == ["step-000000003.pt", "step-000000004.pt"]
    assert steps(bucket) == pair(3) + pair(4)  # the incomplete checkpoint is removed


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (LABEL, b"{", "has an invalid label"),
        (LABEL, b'{"name": "step-000000005.pt"}', "has an invalid label"),
        (LABEL, b"5", "has an invalid label"),
        (LABEL, b'{"name": "a", "size": "1", "sha256": "", "schema": 1}', "has an invalid label"),
        (LABEL, b'{"name": "a", "size": 1, "sha256": "", "schema": "2"}', "has an invalid label"),
        (
            LABEL,
            b'{"name": "a", "size": 1, "sha256": "", "schema": 2}',
            "has label schema 2, this version of nowt reads up to 1",
        ),
        (STATE, b"half a check", "does not match its label"),
    ],
)
def test_a_broken_checkpoint_is_reported_and_the_one_before_it_is_used(
    name: str, content: bytes, fault: str, bucket: Bucket, stopped: str, tmp_path: Path
) -> None:
    said: list[str] = []
    bucket.put(f"{stopped}/{name}", content)
    CheckpointBucket.from_url(PLACE, stopped).fetch(tmp_path, (), 0, said.append)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003.pt"]
    (line,) = said
    assert fault in line and line.startswith(f"checkpoint {PLACE}/{stopped}/{STATE} ")
    assert line.endswith(": using the one before it")


def test_a_flipped_bit_in_a_checkpoint_does_not_change_the_numbers(
    machine: Any, bucket: Bucket, stopped: str, expected: list[dict[str, Any]]
) -> None:
    data = bytearray(bucket.get(f"{stopped}/{STATE}") or b"")
    data[len(data) // 2] ^= 1
    bucket.put(f"{stopped}/{STATE}", bytes(data))
    two = machine("two")
    two.work()
    assert len(two.said) == 1 and "does not match its label" in two.said[0]
    assert two.end == "finished" and list(two.measured[-4:]) == expected and steps(bucket) == pair(9)


def test_a_broken_checkpoint_on_the_disk_is_replaced_by_that_of_the_bucket(
    machine: Any, bucket: Bucket, stopped: str
) -> None:
    two = machine("two")
    folder = two.disk / "checkpoints" / stopped
    folder.mkdir(parents=True)
    (folder / STATE).write_bytes(b"torn")
    two.work(after(1))
    assert two.steps == ["step-000000005.pt", "step-000000005.pt.unreadable", "step-000000006.pt"]
    assert len(two.said) == 1
    assert two.said[0].endswith(f"cannot be read (it is cut short or no checkpoint) and is now {STATE}.unreadable")


def test_retained_checkpoints_are_kept_in_the_bucket(machine: Any, bucket: Bucket) -> None:
    one = machine("one", keep=(1,))
    one.work()
    assert steps(bucket) == ["epoch-000001.json", "epoch-000001.pt", *pair(9)]
    writer = begun(one.disk, one.key)
    for number in range(3):
        writer.epoch(epoch(number))
    shutil.rmtree(one.disk / "checkpoints")
    assert missing_checkpoints_notice(one.disk, [one.key], (1,), PLACE) == ""
    assert "(1)" in missing_checkpoints_notice(one.disk, [one.key], (1,))


class Pair(Group):
    """One of two workers; ``other`` is the tensor of the other one."""

    size = 2

    def __init__(self, other: list[int]) -> None:
        self.other = torch.tensor(other)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        return [tensor, self.other]


def test_workers_with_separate_disks_resume_from_a_checkpoint_that_all_of_them_have(
    machine: Any, bucket: Bucket, stopped: str
) -> None:
    one = machine("one")
    folder = one.disk / "checkpoints" / stopped
    CheckpointBucket.from_url(PLACE, stopped).fetch(folder, (), 0, print)
    assert one.steps == ["step-000000005.pt"]
    bucket.remove([f"{stopped}/{name}" for name in pair(5)])  # now the other worker cannot have it
    for other, there in (([-1, 3], ["step-000000003.pt"]), ([-1], [])):
        with checkpoint_upload.sync_checkpoints(PLACE, folder, Pair(other + [-1] * (9 - len(other))), []):
            assert one.steps == there


def test_a_bug_in_the_upload_is_printed_with_its_traceback_and_does_not_fail_the_run(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake(self: CheckpointBucket, folder: Path, keep: int) -> None:
        raise AttributeError("a mistake")

    monkeypatch.setattr(CheckpointBucket, "send", mistake)
    remarks: list[str] = []
    with checkpoint_upload.sync_checkpoints(PLACE, tmp_path / ("a" * 12), SINGLE_WORKER, remarks):
        pass
    assert "in mistake" in remarks[0] and "a mistake" in remarks[0] and "may exist only in" in remarks[0]


def test_the_bucket_is_not_part_of_the_run_key_and_is_sent_to_workers(s3: str) -> None:
    facts = inspect_data(CONFIG, CPU)
    job = Job(plan_run("kp", CONFIG, facts).key, CONFIG, replace(CPU, checkpoints=PLACE))
    assert Job.from_text(job.to_text()).placement.checkpoints == PLACE
    assert job.key == run_key(CONFIG, facts["fingerprint"])


def test_an_object_whose_name_leads_out_of_the_folder_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, body = "step-9.x/../../evil.pt", b"a state"
    label = {"name": name, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    objects = {
        name: body,
        name.replace(".pt", ".json"): json.dumps(label).encode(),
        "step-.pt": b"",
        "step-x.json": b"",
    }
    monkeypatch.setattr(Bucket, "names", lambda self, under: list(objects))
    monkeypatch.setattr(Bucket, "get", lambda self, name: objects[name])
    checkpoints = CheckpointBucket(Bucket(PLACE, "lab", "nowt", None))
    (tmp_path / "a" / "b").mkdir(parents=True)
    checkpoints.fetch(tmp_path / "a" / "b", (), 0, print)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert checkpoints.epochs() == set()
