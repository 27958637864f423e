"""Logs that are written while their store is merged into: what was written meanwhile stays."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from nowt.core.errors import ConfigError
from nowt.store.run_log import LogWriter, read
from nowt.store.sync.merge import Databases, merge
from nowt.store.sync.merge_logs import copy_checkpoints, incoming_logs, write_logs
from tests.support.run_logs import FACTS, epoch, start

KEY = "0123456789ab"

NO_DATABASES = Databases(lambda other, store: 0, lambda other, store: None, lambda store, afresh: None)


def run_to(folder: Path, last: int, state: str = "", test_error: float = 0.2) -> Path:
    """Log the run up to an epoch, from where its log ends."""
    log = folder / "logs" / f"{KEY}.jsonl"
    writer = LogWriter.open(folder, KEY) if log.exists() else start(folder, KEY)
    for number in range(writer.run.last_epoch + 1, last + 1):
        writer.epoch(epoch(number, test_error=test_error))
    if state:
        writer.end(state)
    return log


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A store with the run after epoch 5."""
    run_to(tmp_path / "other", 5)
    return tmp_path / "other"


def test_a_run_that_ends_while_stores_are_merged_keeps_its_result(other: Path, tmp_path: Path) -> None:
    ours = run_to(tmp_path / "ours", 3)
    coming = incoming_logs(other, tmp_path / "ours")
    assert [log.target for log in coming] == [ours]
    run_to(tmp_path / "ours", 10, "finished")
    before = ours.read_bytes()
    assert write_logs(coming) == []
    assert ours.read_bytes() == before and read(ours).state == "finished"


def test_a_run_that_starts_while_stores_are_merged_keeps_its_log(other: Path, tmp_path: Path) -> None:
    coming = incoming_logs(other, tmp_path / "ours")
    assert [log.new for log in coming] == [True]
    ours = run_to(tmp_path / "ours", 10)
    assert write_logs(coming) == []
    assert read(ours).last_epoch == 10


def test_a_run_that_ends_during_a_merge_of_the_stores_is_not_replaced(
    other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "ours"
    ours = run_to(store, 3)

    def finish(*_: object) -> int:
        run_to(store, 10, "finished")
        return 0

    merge(other, store, print, Databases(finish, NO_DATABASES.merge_trials, NO_DATABASES.refresh))
    assert (read(ours).last_epoch, read(ours).state) == (10, "finished")
    assert "0 new runs, 0 with more epochs or a result" in capsys.readouterr().out


def test_a_log_that_comes_to_differ_is_refused(other: Path, tmp_path: Path) -> None:
    ours = run_to(tmp_path / "ours", 3)
    coming = incoming_logs(other, tmp_path / "ours")
    run_to(tmp_path / "ours", 4, test_error=0.9)
    with pytest.raises(ConfigError, match=f"run {KEY}: epoch 4 differs between"):
        write_logs(coming)
    assert read(ours).last_epoch == 4


def test_a_log_of_an_earlier_version_without_single_images_is_the_same_run(other: Path, tmp_path: Path) -> None:
    last = replace(epoch(6), test_correct="8A==", test_images=5)
    run_to(tmp_path / "ours", 6, "finished")
    writer = LogWriter.open(other, KEY)
    writer.epoch(last)
    del writer
    assert write_logs(incoming_logs(other, tmp_path / "ours")) == []
    ours = LogWriter.open(tmp_path / "newer", KEY)
    ours.start(KEY, **FACTS)
    ours.epoch(replace(last, test_correct="+A=="))
    del ours
    with pytest.raises(ConfigError, match=r"epoch 6 differs between .* \(field test_correct\)"):
        incoming_logs(other, tmp_path / "newer")


def test_a_run_in_progress_is_refused_before_any_log_is_written(other: Path, tmp_path: Path) -> None:
    start(other, "000000000000").epoch(epoch(0))  # precedes the run in progress
    writer = start(tmp_path / "ours", KEY)
    with pytest.raises(
        ConfigError,
        match=f"run {KEY} is in progress in process {os.getpid()} on .*: wait for it, or stop it, and merge again",
    ):
        merge(other, tmp_path / "ours", print, NO_DATABASES)
    assert [path.name for path in (tmp_path / "ours" / "logs").iterdir()] == [f"{KEY}.jsonl"]
    del writer


def test_a_log_that_a_crash_left_empty_is_a_missing_one(other: Path, tmp_path: Path) -> None:
    (tmp_path / "ours" / "logs").mkdir(parents=True)
    ours = tmp_path / "ours" / "logs" / f"{KEY}.jsonl"
    ours.touch()
    assert [log.new for log in write_logs(incoming_logs(other, tmp_path / "ours"))] == [True]
    assert read(ours).last_epoch == 5


def test_checkpoints_of_a_run_in_progress_are_left_alone(other: Path, tmp_path: Path) -> None:
    folder = other / "checkpoints" / KEY
    folder.mkdir(parents=True)
    (folder / "step-000000009.pt").write_text("a later state")
    (other / "checkpoints" / ".DS_Store").touch()
    writer = start(tmp_path / "ours", KEY)
    assert copy_checkpoints(other, tmp_path / "ours") == []
    del writer
    assert copy_checkpoints(other, tmp_path / "ours") == [KEY]
