"""What is on disk when a write returns, so that a power failure loses neither it nor its name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nowt.store.files import move_new, write_atomically
from nowt.store.jsonl import append_line
from nowt.store.listed_runs import ListedRun
from nowt.store.study_file import append_failure, read_study_file, write_study_file
from nowt.training import checkpoint
from tests.support.run_logs import start
from tests.support.synthetic_store import rules_study, write_store


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files and folders that were flushed to disk, in order."""
    found: list[str] = []

    def fsync(file: int) -> None:
        found.append(os.readlink(f"/proc/self/fd/{file}"))

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def write_study(store: Path) -> Path:
    study = write_store(store, rules_study(names=["bp"], seeds=1, epochs=1))
    path = store / "studies" / f"{study.key}.json"
    known = read_study_file(path).to_json()
    content = {name: known[name] for name in ("name", "question", "reference", "seeds", "cells")}
    write_study_file(store, study.key, content)
    return path


def append_to_study(store: Path) -> Path:
    path = write_study(store)
    append_failure(store, read_study_file(path), ListedRun("0123456789ab", "bp", 0))
    return path.with_suffix(".runs.jsonl")


def write_log(store: Path) -> Path:
    start(store, "0123456789ab")
    return store / "logs" / "0123456789ab.jsonl"


def write_checkpoint(store: Path) -> Path:
    return checkpoint.save(store / "checkpoints" / "k", 1, {"step": 1})


def write_new_file(store: Path) -> Path:
    write_atomically(store / "a" / "b" / "c.json", "{}", durable=True)
    return store / "a" / "b" / "c.json"


def append_first_line(store: Path) -> Path:
    store.mkdir()
    append_line(store / "a.jsonl", "{}")
    return store / "a.jsonl"


@pytest.mark.parametrize(
    "write", [write_study, append_to_study, write_log, write_checkpoint, write_new_file, append_first_line]
)
def test_a_file_its_name_and_new_folders_are_on_disk(
    write: Callable[[Path], Path], tmp_path: Path, synced: list[str]
) -> None:
    path = write(tmp_path / "runs")
    assert any(Path(name).name.startswith(path.name) for name in synced), "the content"
    assert str(path.parent) in synced, "the name"
    folder = path.parent
    while folder != tmp_path and write is not append_first_line:
        assert str(folder.parent) in synced, folder
        folder = folder.parent


def test_a_file_is_moved_to_a_name_that_is_free_only(tmp_path: Path, synced: list[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    assert move_new(tmp_path / "a", tmp_path / "new" / "a")
    assert (tmp_path / "new" / "a").read_text() == "a" and not (tmp_path / "a").exists()
    assert str(tmp_path / "new") in synced
    assert not move_new(tmp_path / "b", tmp_path / "new" / "a")
    assert (tmp_path / "new" / "a").read_text() == "a" and (tmp_path / "b").exists()


def test_an_appended_line_is_whole(tmp_path: Path) -> None:
    for number in range(2):
        append_line(tmp_path / "a.jsonl", f'{{"n": {number}}}')
    assert (tmp_path / "a.jsonl").read_text() == '{"n": 0}\n{"n": 1}\n'
