"""A bucket for checkpoints that is not available, at the start of a run or while it trains. On moto's S3."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.execution import checkpoint_upload
from nowt.store.sync.bucket import Bucket
from tests.support.bucket_machines import PLACE, pair, steps
from tests.support.short_runs import after
from tests.support.small_studies import wait_for


def test_training_continues_while_the_bucket_is_unavailable(
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
        "training continues, and the next checkpoint is a new attempt",
        f"{PLACE}/{one.key} is accessible again",
    ]
    assert steps(bucket) == pair(9)


def test_a_last_checkpoint_that_cannot_be_uploaded_is_reported(
    machine: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one")
    cut = partial(monkeypatch.setenv, "AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    def no(self: Bucket, name: str, body: bytes | Path) -> None:
        raise OSError(f"{self.url} cannot be used: no")

    one.work(between=lambda: monkeypatch.setattr(Bucket, "put", no))
    assert one.end == "finished"
    assert one.said[-1].endswith(f"the last checkpoint of this run may exist only in {one.disk}/checkpoints/{one.key}")
    cut()
    monkeypatch.setattr(checkpoint_upload, "DOWNLOAD_SECONDS", 0.2)
    monkeypatch.setattr(checkpoint_upload, "RETRY_SECONDS", 0.1)
    two = machine("two")
    two.work()
    assert len(two.said) == 1 and two.said[0].endswith("; the run waits for it, at most 0.2 s")
    assert re.fullmatch(r"faileds3://lab/checkpoints/\w+ cannot be used: .*", two.end)  # state and reason, in one line


def test_a_run_waits_for_the_bucket_to_resume_from_its_checkpoint(
    machine: Any, bucket: Bucket, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, whole = [], Bucket.names

    def names(self: Bucket, under: str) -> list[str]:
        if len(refused) == 3:
            return whole(self, under)
        refused.append(under)
        raise OSError(f"{self.url} cannot be used: no network")

    monkeypatch.setattr(checkpoint_upload, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(Bucket, "names", names)
    two = machine("two")
    two.work(after(1))
    assert two.steps == ["step-000000005.pt", "step-000000006.pt"]
    url = f"{PLACE}/{stopped}"
    assert two.said == (
        f"{url} cannot be used: no network; the run waits for it, at most 300 s",
        f"{url} is accessible again",
    )


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("s3://lab", "'s3://lab' is not a folder in a bucket: give s3://BUCKET/PREFIX"),
        ("runs", "'runs' is not a folder in a bucket"),
        ("s3://nobody/has/it", "s3://nobody/has/it cannot be used: "),
    ],
)
def test_an_inaccessible_bucket_is_reported_before_training(
    place: str, fault: str, tmp_path: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["train", "digits"], ["ablate", "rules_on_digits"], ["search", "kolen_pollack"]):
        assert main([*words, "--store", str(tmp_path / "none"), "--checkpoints", place]) == 2
        said = capsys.readouterr().err
        assert fault in said and len(said.splitlines()) == 1
    assert not (tmp_path / "none").exists()
