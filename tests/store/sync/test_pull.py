"""Pulling runs from another machine with rsync; a local shell simulates ssh."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.cli.main import main
from nowt.store.existing import PARTS
from nowt.store.run_log import LogWriter
from nowt.store.sync.pull import _folder_name
from tests.store.sync.test_merge import KEY, search, url
from tests.support.mlflow_contents import contents, epoch, start
from tests.support.optuna_storage import trial_contents
from tests.support.synthetic_store import rules_study, write_store

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed (Debian: rsync)")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder on the other machine, reached by a simulated ssh."""
    folder, shell = tmp_path / "there", tmp_path / "ssh"
    folder.mkdir()
    shell.write_text(
        f'#!/bin/sh\n[ "$1" = head ] || {{ echo "unknown host $1" >&2; exit 255; }}\nshift\n'
        f'cd "{folder}" && exec sh -c "$*"\n'
    )
    shell.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(shell))
    return folder


def test_runs_are_pulled_and_their_progress_is_pulled_later(
    home: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = home / "my runs"
    study = write_store(there, rules_study(names=["bp"], seeds=1, epochs=2))
    search(there, 0.1, 0.2, last="running", reported=1)
    (there / "keeper").mkdir()
    (there / "keeper" / "credentials").write_text("secret")
    writer = start(there, KEY)
    writer.epoch(epoch(0))
    checkpoint = there / "checkpoints" / KEY / "step-000000010.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("a state")
    with closing(sqlite3.connect(there / "optuna.db")) as live:
        live.execute("PRAGMA journal_mode=WAL")  # in use, as on a head in mid-study
        assert main(["pull", "head:my runs", "--store", str(store)]) == 0
        live.execute("SELECT 1")
    assert "2 new runs" in capsys.readouterr().out
    assert (store / "checkpoints" / KEY / checkpoint.name).read_text() == "a state"
    assert set(contents(store)) == {"Default", study.key, "single runs"}
    assert not list(store.rglob("credentials"))
    assert trial_contents(url(store)) == trial_contents(url(there))

    writer.epoch(epoch(1))
    writer.end("finished")
    assert main(["pull", "head:~/my runs/", "--store", str(store)]) == 0
    logs = [folder / "logs" / f"{KEY}.jsonl" for folder in (store, there)]
    assert logs[0].read_bytes() == logs[1].read_bytes()
    assert len(list((store / "pulled").iterdir())) == 1  # what came before is not fetched again
    del writer
    assert LogWriter.open(store, KEY).run.state == "finished"


def test_runs_on_other_images_are_refused_until_their_study_is_left_out(
    home: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=1))
    write_store(home / "runs", replace(study, seeds=(1,)))
    (log,) = (home / "runs" / "logs").glob("*.jsonl")
    log.write_text(log.read_text().replace('"fingerprint": "made-up"', '"fingerprint": "other images"'))
    assert main(["pull", "head:runs", "--store", str(store)]) == 2
    said = capsys.readouterr().err
    mixed = f"images made-up (seed 0 in {store}) and other im (seed 1 in head:runs). Nothing was merged"
    assert mixed in said and len(said.splitlines()) == 1
    assert len(list((store / "logs").glob("*.jsonl"))) == 1
    assert f"move studies/{study.key}.json out of head:runs and {store / 'pulled' / 'head-runs'}, to merge" in said
    for folder in (home / "runs", store / "pulled" / "head-runs"):
        (folder / "studies" / f"{study.key}.json").unlink()
    assert main(["pull", "head:runs", "--store", str(store)]) == 0
    assert len(list((store / "logs").glob("*.jsonl"))) == 2


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("nowhere:runs", "nowhere was not reached, or"),
        ("head:none", "head was not reached, or rsync failed there: "),
        ("head:", "'head:' is neither HOST:FOLDER nor s3://BUCKET/PREFIX"),
    ],
)
def test_a_failed_pull_is_reported_in_one_line(
    source: str, fault: str, home: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", source, "--store", str(store)]) == 2
    said = capsys.readouterr().err
    assert fault in said and len(said.splitlines()) == 1
    assert not any((store / part).exists() for part in PARTS)


def test_folders_whose_names_look_the_same_on_disk_have_copies_of_their_own() -> None:
    paths = ["runs", "a/b", "a_b", "a b", "größe", "gräße", "实验", "数据"]
    names = [_folder_name("head", path) for path in paths]
    assert len(set(names)) == len(paths) and names[:2] == ["head-runs", "head-a_b"]
