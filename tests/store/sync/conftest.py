"""A bucket for checkpoints, machines that use it, and the run of a machine that was lost."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nowt.config.placement import Placement
from nowt.execution import checkpoint_upload
from nowt.store.sync.bucket import Bucket
from nowt.training.loop import train
from tests.support.bucket_machines import CONFIG, PLACE, Machine, made_bucket, pair, steps
from tests.support.short_runs import CPU, after, numbers
from tests.support.small_studies import wait_for


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, to which runs upload at shorter intervals than by default."""
    monkeypatch.setattr(checkpoint_upload, "POLL_SECONDS", 0.05)
    with made_bucket() as made:
        yield made


@pytest.fixture(scope="module")
def expected() -> list[dict[str, Any]]:
    """The numbers of the uninterrupted run."""
    return numbers(train(CONFIG, CPU))


@pytest.fixture
def machine(tmp_path: Path, bucket: Bucket) -> Callable[..., Machine]:
    """Creates a machine by name."""

    def made(name: str, **fields: Any) -> Machine:
        disk = tmp_path / name
        disk.mkdir(exist_ok=True)
        return Machine(disk, Placement(store=str(disk), device="cpu", checkpoints=PLACE, **fields))

    return made


@pytest.fixture(scope="module")
def left(s3: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The objects in the bucket after a run was stopped after batch 5."""
    disk = tmp_path_factory.mktemp("lost")
    with made_bucket() as bucket:
        lost = Machine(disk, Placement(store=str(disk), device="cpu", checkpoints=PLACE))
        lost.work(
            after(5), lambda: wait_for(lambda: lost.steps[-1] in str(steps(bucket)), 30, "the epoch's checkpoint")
        )
        return {name: bucket.get(name) or b"" for name in bucket.names("")}


@pytest.fixture
def stopped(left: dict[str, bytes], bucket: Bucket) -> str:
    """The key of a run whose disk is lost, with checkpoints of steps 3 and 5 in the bucket."""
    for name, body in left.items():
        bucket.put(name, body)
    assert steps(bucket) == pair(3) + pair(5)
    return next(iter(left)).partition("/")[0]
