"""A store that is moved or removed while a run writes to it: one line, and no second store at the old place."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.execution.run_queue import RunQueue
from nowt.store.layout import Store
from nowt.store.locks import study_lock
from nowt.store.run_log import LogWriter
from nowt.tracking.background import BackgroundRecorder
from nowt.training import checkpoint
from nowt.training.loop import train
from tests.execution.test_run_queue import START, A, B, planned
from tests.support.short_runs import short_run
from tests.support.small_studies import logs, write_study

MOVED = "was moved or removed while nowt was writing to it"

CELLS = '{rule: small(rule) for rule in ("bp", "fa")}'


def move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def remove(folder: Path) -> None:
    """Remove a folder at once for all who look: rmtree alone deletes what is in it first, while other threads check."""
    gone = folder.with_name("gone")
    folder.rename(gone)
    shutil.rmtree(gone)


def after_save(number: int, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Act once the checkpoint with this number, from 1, has been saved."""
    saved: list[int] = []
    save = checkpoint.save

    def save_and_act(*given: Any, **named: Any) -> Path:
        path = save(*given, **named)
        saved.append(1)
        if len(saved) == number:
            act()
        return path

    monkeypatch.setattr(checkpoint, "save", save_and_act)


@pytest.mark.parametrize("change", [move, remove])
def test_a_study_whose_store_goes_away_ends_with_one_line(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "runs"
    words = ["ablate", str(write_study(tmp_path, CELLS)), "--in-process", "--store"]
    after_save(2, lambda: change(store), monkeypatch)
    assert main([*words, str(store)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nowt: {store} {MOVED}") and error.count("\n") == 1
    assert not store.exists()
    if change is move:
        assert main([*words, str(tmp_path / "moved")]) == 0
        assert {run.state for run in logs(tmp_path / "moved").values()} == {"finished"}


def test_a_part_that_goes_away_is_named_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Store(tmp_path / "runs").logs
    after_save(2, lambda: remove(gone), monkeypatch)
    study = write_study(tmp_path, CELLS)
    assert main(["ablate", str(study), "--in-process", "--store", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nowt: {gone}") and MOVED in error and error.count("\n") == 1


def test_checkpoints_make_no_second_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "runs"
    after_save(1, lambda: move(store), monkeypatch)
    with pytest.raises(OSError, match=f"^{store} {MOVED}"):
        list(train(short_run(), checkpoints=store / "checkpoints" / "key"))
    assert not store.exists()


def test_removed_checkpoints_of_a_run_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoints" / "key"
    after_save(1, lambda: shutil.rmtree(folder), monkeypatch)
    list(train(short_run(), checkpoints=folder))
    assert checkpoint.saved(folder)


def test_no_line_is_written_to_a_log_that_was_removed(tmp_path: Path) -> None:
    log = LogWriter.open(tmp_path, A)
    log.start(A)
    log.path.unlink()
    with pytest.raises(OSError, match=f"^{log.path} {MOVED}"):
        log.end("finished")
    assert not log.path.exists()


def test_the_next_run_makes_no_second_store(tmp_path: Path) -> None:
    store = tmp_path / "runs"
    queue = RunQueue(store, planned([A, B]))
    queue.begin(A)
    queue.receive(A, START)
    move(store)
    with pytest.raises(OSError, match=f"^{store} {MOVED}"):
        queue.begin(B)
    assert not store.exists()


def test_tracking_makes_no_second_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = tmp_path / "runs"
    with study_lock(store, "x-1"):
        recorder = BackgroundRecorder(store, None)
        move(store)
        recorder.close()
        recorder.write()
    assert f"{store} {MOVED}" in caplog.text
    assert not store.exists()
