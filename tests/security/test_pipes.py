"""Pipes in a store that is used directly: whoever reads one would wait for ever, so each is refused in one line."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from analysis.report.provenance import _digest
from nowt.data.digest_table import DigestTable
from nowt.store.jsonl import drop_incomplete_line
from nowt.store.layout import Store
from nowt.store.locks import LogLock, is_locked, study_lock, turn
from nowt.store.run_log import read_all, read_start, schema_problems
from nowt.store.sync.checkpoint_bucket import CheckpointBucket
from nowt.store.sync.manifest import identity_of
from nowt.studies.upgrade.rewrite import rewrite_study_files
from nowt.tracking.database import connect
from nowt.tracking.outbox import Outbox, undelivered
from tests.support.hostile_files import UNFINISHED, MemoryBucket, refusal_of, write_files

SECONDS = 3.0  # that no reader waits

LOG = f"logs/{UNFINISHED}.jsonl"


def locked(store: Path) -> None:
    with study_lock(store, "x-01234567"):
        pass


def waited(store: Path) -> None:
    with turn(store / "cache" / "a.lock", "reads"):
        pass


def notes_of(store: Path) -> object:
    return undelivered(store, list(read_all(store)))


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "first line": (LOG, lambda store: read_start(store / LOG)),
    "schema": (LOG, lambda store: list(schema_problems(store))),
    "lock of a log": (LOG, lambda store: is_locked(store / LOG)),
    "log to write": (LOG, lambda store: LogLock(store / LOG)),
    "last line": (LOG, lambda store: drop_incomplete_line(store / LOG)),
    "checksum of a report": (LOG, lambda store: _digest(store / LOG)),
    "lock of a study": ("studies/x-01234567.lock", locked),
    "turn": ("cache/a.lock", waited),
    "identity": ("copy.json", identity_of),
    "study file to upgrade": ("studies/x-01234567.json", lambda store: rewrite_study_files(store, {})),
    "delivered epochs": (f"delivered/a/runs/{UNFINISHED}", notes_of),
    "delivered to": ("delivered/a/url", notes_of),
    "lock of a delivery": ("delivered/a/x.lock", lambda store: Outbox(store / "delivered/a").lock("x").__enter__()),
    "MLflow": ("mlflow.db", lambda store: connect(Store(store).mlflow_db)),
}


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Fail the test if it waits for a writer of the pipe."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def store(tmp_path: Path, valid: dict[str, bytes]) -> Path:
    store = write_files(tmp_path / "store", valid)
    for name in ("runs", "studies"):
        (store / "delivered" / "a" / name).mkdir(parents=True)
    (store / "delivered" / "a" / "url").write_text("http://x")
    (store / "delivered" / "a" / "studies" / "single runs").touch()
    return store


def put_pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_a_pipe_is_refused_at_once(name: str, read: Callable[[Path], object], store: Path) -> None:
    put_pipe(store / name)
    assert f"{name} is not a file: move it out of the store" in refusal_of(lambda: read(store))


def test_a_table_of_digests_that_is_a_pipe_counts_as_missing(store: Path) -> None:
    put_pipe(Store(store).digests("a"))
    assert DigestTable.load(Store(store).digests("a")).names == []


def test_a_checkpoint_that_is_a_pipe_is_not_sent_to_a_bucket(store: Path, bucket: MemoryBucket) -> None:
    folder = Store(store).checkpoints("a" * 12)
    put_pipe(folder / "step-000000001.pt")
    sent = CheckpointBucket.from_url("s3://lab/nowt", "a" * 12)
    assert "is not a file: move it out of the store" in refusal_of(lambda: sent.send(folder))
