"""Rebuilding MLflow's database from the logs, and broken databases and study files."""

import logging
import shutil
from pathlib import Path

import pytest

from nowt.store.records import RunLog
from nowt.tracking.background import record_in_background
from nowt.tracking.recorder import Recorder
from nowt.tracking.refresh import rebuild
from tests.support.mlflow_contents import contents, epoch, start, study_file_of
from tests.support.small_studies import wait_for
from tests.support.synthetic_store import key_of, rules_study, write_store


def test_a_deleted_database_is_rebuilt_exactly(store: Path) -> None:
    first = write_store(store, rules_study(seeds=1, epochs=3), diverged={("kp", 0): 1}, created=5)
    second = write_store(store, rules_study("pairs", ["bp", "fa"], 1, 4), stopped={("fa", 0): 2}, created=9)
    single = start(store, "0123456789ab", seed=7)
    single.epoch(epoch(0))
    single.end("failed", "the disk is full")
    for study in (first, second):
        Recorder.open(store, study_file_of(store, study.key))
    Recorder.open(store, None)
    before = contents(store)
    (store / "mlflow.db").unlink()
    shutil.rmtree(store / "artifacts")
    assert rebuild(store) == 5 + 2 + 1
    assert contents(store) == before
    assert not list(store.glob(".mlflow*"))


def test_an_unreadable_log_stops_a_rebuild_and_keeps_the_old_database(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=2))
    Recorder.open(store, study_file_of(store, study.key))
    before = contents(store)
    (store / "logs" / "0000000000ff.jsonl").write_text("no log\n")
    with pytest.raises(ValueError, match=r"0000000000ff\.jsonl, line 1 is not a line of an epoch log"):
        rebuild(store)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", "is not JSON"), ("[]", "holds list"), ("{}", "it has no created, key, name, question")],
)
def test_an_invalid_study_file_is_reported(text: str, fault: str, store: Path) -> None:
    (store / "studies").mkdir()
    (store / "studies" / "odd.json").write_text(text)
    with pytest.raises(ValueError, match=rf"odd\.json.* {fault}.*: move it out of the store"):
        rebuild(store)


def test_a_missing_store_cannot_be_rebuilt(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no store at"):
        rebuild(tmp_path / "nowhere")


def test_a_broken_database_causes_a_warning_and_does_not_stop_the_study(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    (store / "mlflow.db").write_text("no database")
    writer = start(store, key_of(study, "bp", 0))
    with record_in_background(store, study_file_of(store, study.key)) as record:
        for number in range(3):
            writer.epoch(epoch(number))
            record.update(writer.run, "bp", 0)
    assert writer.run.last_epoch == 2
    lines = [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "is not an MLflow database: delete it and run nowt rebuild" in lines[0]


def test_a_restored_database_receives_what_it_missed(store: Path, empty: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    writer = start(store, key_of(study, "bp", 0))
    with record_in_background(store, study_file_of(store, study.key)) as record:
        (store / "mlflow.db").write_text("no database")
        writer.epoch(epoch(0))
        record.update(writer.run, "bp", 0)
        shutil.copy(empty, store / "mlflow.db")
    page = next(page for page in contents(store)[study.key]["runs"] if "cell" in page["tags"])
    assert ("val_error", 0, writer.run.times[0], 0.4) in page["points"]


def test_a_bug_in_the_recording_is_printed_with_its_traceback_and_the_record_catches_up(
    store: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1), missing=[("bp", 0)])
    writer = start(store, key_of(study, "bp", 0))
    update = Recorder.update
    failures: list[int] = []

    def fails_once(self: Recorder, run: RunLog, cell: str, seed: int) -> None:
        if not failures:
            failures.append(run.last_epoch)
            raise AttributeError("a mistake")
        update(self, run, cell, seed)

    monkeypatch.setattr(Recorder, "update", fails_once)
    with record_in_background(store, study_file_of(store, study.key)) as record:
        for number in range(3):
            writer.epoch(epoch(number))
            record.update(writer.run, "bp", 0)
            wait_for(lambda: bool(failures), 30, "the first update")
    (entry,) = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert "MLflow is behind the logs (AttributeError: a mistake): nowt rebuild" in entry.getMessage()
    assert entry.exc_info and "fails_once" in (entry.exc_text or "")
    page = next(page for page in contents(store)[study.key]["runs"] if "cell" in page["tags"])
    assert {point[1] for point in page["points"] if point[0] == "val_error"} == {0, 1, 2}


def test_errors_of_the_study_itself_are_raised(store: Path) -> None:
    study = write_store(store, rules_study(names=["bp"], seeds=1))
    with pytest.raises(KeyError, match="ours"), record_in_background(store, study_file_of(store, study.key)):
        raise KeyError("ours")
