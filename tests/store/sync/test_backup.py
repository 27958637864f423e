"""Backups of a store in a bucket, and restoring them completely. On moto's S3."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nowt.cli.main import main
from nowt.core.errors import ConfigError
from nowt.store.run_log import LogWriter
from nowt.store.sync import backup as backup_module
from nowt.store.sync.backup import StoreBackup, backup
from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import read_manifest
from nowt.tracking.recorder import Recorder
from tests.store.sync.test_merge import files, search, url
from tests.support.mlflow_contents import contents, epoch, start, study_file_of
from tests.support.optuna_storage import trial_contents
from tests.support.synthetic_store import rules_study, write_store
from tests.support.tracking_server import wait_until

KEY = "0123456789ab"

COPY = "s3://lab/nowt/store"


@pytest.fixture
def bucket(s3: str) -> Iterator[Bucket]:
    """An empty bucket, removed afterwards."""
    found = Bucket.from_url(COPY)
    found.client.create_bucket(Bucket="lab")
    yield found
    found.remove(found.names(""))
    found.client.delete_bucket(Bucket="lab")
    found.client.close()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a search: creating one takes seconds, copying it does not."""
    folder = tmp_path_factory.mktemp("searched")
    search(folder, 0.1, 0.2, last="running", reported=1)
    return folder / "optuna.db"


@pytest.fixture
def living(store: Path, searched: Path) -> Path:
    """A store in use: a finished study, a run in progress, a search."""
    write_store(store, rules_study(names=["bp", "kp"], seeds=1, epochs=3))
    start(store, KEY).epoch(epoch(0))
    shutil.copy(searched, store / "optuna.db")
    return store


def recorded(store: Path) -> dict[str, Any]:
    """What MLflow shows of the store after an update."""
    for path in (store / "studies").glob("*.json"):
        Recorder.open(store, study_file_of(store, path.stem))
    Recorder.open(store, None)
    return contents(store)


@pytest.fixture
def new(tmp_path: Path, empty: Path) -> Path:
    """The store of a new machine, empty except for an MLflow database without runs."""
    (tmp_path / "new").mkdir()
    shutil.copy(empty, tmp_path / "new" / "mlflow.db")
    return tmp_path / "new"


def test_a_lost_store_is_restored_as_of_its_last_backup(living: Path, bucket: Bucket) -> None:
    before, decided, shown = files(living), trial_contents(url(living)), recorded(living)
    with (living / "logs" / f"{KEY}.jsonl").open("a") as log:  # the moment of a crash
        log.write('{"kind": "epo')
    assert main(["backup", COPY, "--store", str(living)]) == 0
    shutil.rmtree(living)
    assert main(["restore", COPY, "--store", str(living)]) == 0
    assert (files(living), trial_contents(url(living)), contents(living)) == (before, decided, shown)
    writer = LogWriter.open(living, KEY)
    assert writer.epoch(epoch(1))  # and it goes on


def test_mlflow_is_rebuilt_when_a_store_is_restored_to_another_path(
    living: Path, bucket: Bucket, tmp_path: Path
) -> None:
    shown = recorded(living)
    main(["backup", COPY, "--store", str(living)])
    elsewhere = tmp_path / "elsewhere"
    assert main(["restore", COPY, "--store", str(elsewhere)]) == 0
    shutil.rmtree(living)  # its artifacts, too
    assert contents(elsewhere) == shown


def test_databases_are_backed_up_completely_while_they_are_being_written(
    living: Path, bucket: Bucket, new: Path
) -> None:
    with closing(sqlite3.connect(living / "optuna.db")) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE ours (n INTEGER)")
        live.execute("INSERT INTO ours VALUES (1)")
        live.commit()  # in the write-ahead log alone
        live.execute("INSERT INTO ours VALUES (2)")  # under way
        main(["backup", COPY, "--store", str(living)])
    main(["restore", COPY, "--store", str(new)])
    with closing(sqlite3.connect(new / "optuna.db")) as copy:
        assert copy.execute("SELECT n FROM ours").fetchall() == [(1,)]


def test_only_changed_files_are_sent(living: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    main(["backup", COPY, "--store", str(living)])
    capsys.readouterr()
    main(["backup", COPY, "--store", str(living)])
    assert ", 0 of them new" in capsys.readouterr().out
    writer = LogWriter.open(living, KEY)
    writer.epoch(epoch(1))
    main(["backup", COPY, "--store", str(living)])
    assert ", 1 of them new" in capsys.readouterr().out


def test_an_interrupted_backup_is_never_restored(living: Path, bucket: Bucket, new: Path) -> None:
    main(["backup", COPY, "--store", str(living)])
    before = files(living)
    LogWriter.open(living, KEY).epoch(epoch(1))
    (living / "studies" / "new.runs.jsonl").write_text('{"key": "b"}\n')
    sent = StoreBackup(living, bucket)._files()
    for _ in sent:
        pass  # every object is there, and the machine is lost before the manifest
    assert main(["restore", COPY, "--store", str(new)]) == 0
    assert files(new) == before


def test_unused_objects_are_removed_from_the_bucket(living: Path, bucket: Bucket) -> None:
    writer = LogWriter.open(living, KEY)
    for number in range(1, 5):
        writer.epoch(epoch(number))
        main(["backup", COPY, "--store", str(living)])
    last = read_manifest(bucket)
    assert last is not None
    assert len(bucket.names("objects/")) == len(set(last.files.values())) + 1  # the log of the copy before


def test_a_file_that_was_missing_from_some_backups_is_sent_again(living: Path, bucket: Bucket, new: Path) -> None:
    copying, study_file = StoreBackup(living, bucket), next(living.glob("studies/*.json"))
    copying.run()
    kept = study_file.rename(living / "kept")
    for _ in range(2):
        copying.run()
    kept.rename(study_file)
    copying.run()
    assert main(["restore", COPY, "--store", str(new)]) == 0
    assert (new / "studies" / study_file.name).read_bytes() == study_file.read_bytes()


def test_a_denied_object_counts_as_missing_only_if_it_is_not_listed(bucket: Bucket) -> None:
    class Denies:
        def get_object(self, **place: str) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "GetObject")

        def get_paginator(self, name: str) -> Any:
            return bucket.client.get_paginator(name)

    bucket.put("kept", b"there")
    denied = replace(bucket, client=Denies())
    assert denied.get("manifest.json") is None and denied.get("kep") is None
    with pytest.raises(OSError, match=r"cannot be used: .*AccessDenied"):
        denied.get("kept")


def test_objects_that_s3_does_not_remove_are_reported(bucket: Bucket) -> None:
    class Refusing:
        def delete_objects(self, **_: Any) -> dict[str, Any]:
            return {"Errors": [{"Key": "nowt/store/a", "Code": "AccessDenied"}, {"Key": "b", "Code": "InternalError"}]}

    with pytest.raises(OSError, match=rf"{COPY} cannot be used: nowt/store/a was not removed \(AccessDenied\)"):
        replace(bucket, client=Refusing()).remove(["a", "b"])


def test_secrets_are_not_backed_up(living: Path, bucket: Bucket) -> None:
    (living / "keeper").mkdir()
    for name in ("credentials", "signing-key", "auth.ini", "auth.db"):
        (living / "keeper" / name).write_text("made-up secret")
    main(["backup", COPY, "--store", str(living)])
    assert not any(b"made-up secret" in (bucket.get(name) or b"") for name in bucket.names("objects/"))


def test_backups_of_the_old_machine_are_refused_after_a_restore_on_a_new_one(
    living: Path, bucket: Bucket, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["backup", COPY, "--store", str(living)])
    assert main(["restore", COPY, "--store", str(new)]) == 0
    assert main(["backup", COPY, "--store", str(new)]) == 0
    assert main(["backup", COPY, "--store", str(living)]) == 2
    assert f"{COPY} holds the backup of another store, which was in {new}" in capsys.readouterr().err
    assert main(["backup", COPY, "--store", str(new)]) == 0


def test_a_backup_is_merged_into_a_store_with_runs(living: Path, bucket: Bucket, new: Path) -> None:
    main(["backup", COPY, "--store", str(living)])
    start(new, "ffffffffffff").epoch(epoch(0))
    assert main(["pull", COPY, "--store", str(new)]) == 0
    assert {path.stem for path in (new / "logs").iterdir()} == {
        "ffffffffffff",
        *(path.stem for path in (living / "logs").iterdir()),
    }
    assert main(["pull", COPY, "--store", str(new)]) == 0


def test_backups_repeat_and_end_with_a_last_one(living: Path, bucket: Bucket) -> None:
    words = ["backup", COPY, "--store", str(living), "--every", "0.5"]
    with subprocess.Popen([sys.executable, "-m", "nowt", *words], stdout=subprocess.PIPE, text=True) as running:
        wait_until(lambda: read_manifest(bucket), 60, "a copy")
        first: Any = read_manifest(bucket)
        wait_until(lambda: read_manifest(bucket) != first, 60, "another")
        os.kill(running.pid, signal.SIGSTOP)
        LogWriter.open(living, KEY).epoch(epoch(1))
        os.kill(running.pid, signal.SIGTERM)
        os.kill(running.pid, signal.SIGCONT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0 and "1 of them new" in said
    found = read_manifest(bucket)
    assert found is not None and found.files[f"logs/{KEY}.jsonl"] != first.files[f"logs/{KEY}.jsonl"]


def test_a_broken_file_is_reported_and_does_not_end_the_backups(living: Path, bucket: Bucket) -> None:
    broken, said, end = living / "optuna.db", list[str](), Event()
    broken.write_bytes(b"no database" * 100)

    def say(line: str) -> None:
        said.append(line)
        broken.unlink() if len(said) == 1 else end.set()

    backup(living, COPY, 0.05, say, end)
    trouble = f"{broken} is not a database (file is not a database): move it out of the store"
    assert said[:-1] == [f"{trouble}; retrying in 0.05 s", f"{COPY} is complete again"]
    assert said[-1].endswith(" files, 0 of them new")


def test_the_last_backup_is_retried_for_a_while(living: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    said, end, put = list[str](), Event(), Bucket.put

    def away(self: Bucket, name: str, body: bytes | Path) -> None:
        if len(said) < 2:
            raise OSError(f"{self.url} cannot be used: no network")
        put(self, name, body)

    end.set()  # SIGTERM came before the first copy
    monkeypatch.setattr(backup_module, "LAST_PAUSE", 0.05)
    monkeypatch.setattr(Bucket, "put", away)
    backup(living, COPY, 240, said.append, end)
    assert said[:-1] == [f"{COPY} cannot be used: no network; retrying the last backup in 0.05 s"] * 2
    assert read_manifest(bucket) is not None
    said.clear()
    monkeypatch.setattr(backup_module, "LAST_SECONDS", -1.0)
    with pytest.raises(OSError, match="no network"):
        backup(living, COPY, 240, said.append, end)


def test_the_backup_of_another_store_is_not_overwritten(living: Path, bucket: Bucket, new: Path) -> None:
    backup(living, COPY, None, print, Event())
    with pytest.raises(ConfigError, match=f"{COPY} holds the backup of another store"):
        backup(new, COPY, 240, print, Event())


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["backup", "s3://lab"], "'s3://lab' is not a folder in a bucket: give s3://BUCKET/PREFIX"),
        (["backup", COPY, "--every", "0"], "--every is 0.0: it must be more than 0 seconds"),
        (["restore", COPY], f"there is no complete backup of a store at {COPY}: run nowt backup first"),
        (["backup", "s3://nobody/has/it"], "s3://nobody/has/it cannot be used: "),
        (["pull", "runs"], "'runs' is neither HOST:FOLDER nor s3://BUCKET/PREFIX"),
        (["pull", "a/b:runs"], "'a/b:runs' is neither HOST:FOLDER nor s3://BUCKET/PREFIX"),
    ],
)
def test_invalid_arguments_are_reported(
    words: list[str], fault: str, living: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--store", str(living)]) == 2
    said = capsys.readouterr().err
    assert fault in said and len(said.splitlines()) == 1
