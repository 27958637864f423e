"""All runs of a store as frames, whatever happened to its logs and its cache."""

import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames.store import incremental
from analysis.frames.store.cache import folder_lock
from analysis.frames.store.columns import CELLS, EPOCHS, LAYERS, RUNS, STUDY_TRIALS
from analysis.frames.store.store import StoreFrames, read_store, rebuild_frames
from analysis.frames.store.trial_rows import TRIALS
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import read_frames
from analysis.frames.trials import read_trials
from nowt.store.records import IMAGE_FIELDS, Epoch
from tests.support.growing_store import GrowingStore, plain_epochs, plain_layers, plain_runs
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import key_of, rules_study, write_store

SCALARS = [field.name for field in fields(Epoch) if field.name not in ("layers", *IMAGE_FIELDS)]

MEASURES = ["depth", "matrix_angle", "delta_angle", "norm_ratio", "through_feedback"]


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    columns = list(expected.columns)
    pd.testing.assert_frame_equal(found[columns], expected.astype(found[columns].dtypes.to_dict()))


def assert_true(frames: StoreFrames, store: Path) -> None:
    """The frames say what plain pandas makes of the logs."""
    expected = plain_runs(store)
    if expected.empty:
        assert frames.runs.empty
    else:
        times = {name: pd.to_datetime(expected[name], unit="ms", utc=True) for name in ("started", "heard")}
        assert_same(frames.runs, expected.assign(**times))
    assert_same(frames.epochs, plain_epochs(store, SCALARS))
    assert_same(frames.layers, plain_layers(store, MEASURES))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A store with two rules of two seeds, one run diverged."""
    write_store(tmp_path, rules_study(names=["bp", "kp"], seeds=2, epochs=4), diverged={("kp", 1): 2}, layers=3)
    return tmp_path


def test_runs_in_whose_place_others_count_are_superseded(small: Path) -> None:
    (path,) = (small / "studies").glob("*.json")
    data = json.loads(path.read_text())
    earlier, later = (run["key"] for run in data["runs"] if run["cell"] == "bp")
    data["runs"].append({"key": later, "cell": "bp", "seed": data["runs"][0]["seed"]})
    path.write_text(json.dumps(data))
    runs = read_store(small).runs
    assert list(runs.loc[runs["superseded"], "run"]) == [earlier]
    assert set(runs["images"]) == {"made-up"}


def test_every_frame_has_the_columns_it_declares(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp", "kp"], seeds=1, epochs=2))
    write_search(tmp_path)
    frames = read_store(tmp_path)
    declared = {"runs": RUNS, "epochs": EPOCHS, "layers": LAYERS, "cells": CELLS, "trials": STUDY_TRIALS | TRIALS}
    for name, columns in declared.items():
        frame = getattr(frames, name)
        assert {column: str(kind) for column, kind in frame.dtypes.items()} == columns, name
        assert len(frame), name
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = read_store(empty)
    for name, columns in declared.items():
        frame = getattr(nothing, name)
        assert {column: str(kind) for column, kind in frame.dtypes.items()} == columns, name
        assert frame.empty, name
    assert not list(empty.iterdir())


@pytest.mark.parametrize("seed", range(8))
def test_an_incremental_update_equals_reading_from_scratch(tmp_path: Path, seed: int) -> None:
    store = GrowingStore(tmp_path, random.Random(seed))
    done = []
    for _ in range(12):
        done += [store.step() for _ in range(store.luck.randint(1, 4))]
        try:
            assert_true(read_store(tmp_path), tmp_path)
        except AssertionError as error:
            raise AssertionError(f"after {', '.join(done)}") from error


def test_only_changed_logs_are_read_again(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_store(small)
    opened: list[str] = []
    read = incremental.read_plain_file
    monkeypatch.setattr(incremental, "read_plain_file", lambda path: opened.append(path.name) or read(path))
    read_store(small)
    assert not [name for name in opened if name.endswith(".jsonl")]
    log = sorted((small / "logs").iterdir())[0]
    os.utime(log)  # in doubt, it is looked at, and found the same
    read_store(small)
    assert [name for name in opened if name.endswith(".jsonl")] == [log.name]


def test_many_small_updates_leave_few_cache_files(tmp_path: Path) -> None:
    store = GrowingStore(tmp_path, random.Random(3))
    store.start(tmp_path)
    log = next((tmp_path / "logs").iterdir())
    for _ in range(40):
        store.grow(log)
        read_store(tmp_path)
    names = [path.name for path in (tmp_path / "frames").iterdir()]
    assert len(names) <= 2 + 1 + 2 * 7  # the lock, the index, the logs, and about log2(rows) of epochs and of layers
    assert not [name for name in names if ".tmp" in name]
    assert_true(read_store(tmp_path), tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_or_foreign_cache_file_is_rebuilt(small: Path, tmp_path: Path, seed: int) -> None:
    luck = random.Random(seed)
    read_store(small)
    for path in sorted((small / "frames").iterdir()):
        data = bytearray(path.read_bytes())
        if path.name == ".lock":
            continue
        kind = luck.choice(["byte", "cut", "foreign", "gone", "empty"])
        if kind == "byte":
            data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
        new = {"byte": bytes(data), "cut": bytes(data[: len(data) // 2]), "foreign": b"a,b\n1,2\n", "empty": b""}
        path.unlink() if kind == "gone" else path.write_bytes(new[kind])
        assert_true(read_store(small), small)
    assert_true(read_store(small), small)


def test_a_cache_of_another_format_is_rebuilt(small: Path) -> None:
    read_store(small)
    index = small / "frames" / "index.json"
    index.write_text(index.read_text().replace('"format": "5,', '"format": "99,'))
    assert_true(read_store(small), small)
    assert '"format": "5,' in index.read_text()


def test_a_read_only_store_can_be_read(small: Path) -> None:
    (small / "frames").write_text("a file where the folder should be")
    assert_true(read_store(small), small)
    study = find_study(small)
    assert isinstance(study, StudyPlan)
    assert len(read_frames(small, study).epochs) == 3 * 5 + 3
    assert (small / "frames").read_text() == "a file where the folder should be"


def test_the_cache_is_used_after_a_store_became_read_only(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_store(small)
    (small / "frames" / ".lock").unlink()
    (small / "frames" / ".lock").mkdir()  # which cannot be opened for writing, by root neither
    before = sorted(path.name for path in (small / "frames").iterdir())
    log = sorted((small / "logs").iterdir())[0]
    with log.open("a", encoding="utf-8") as file:
        file.write('{"kind": "resume", "attempt": 2, "epoch": 4, "time": 1800000000000}\n')
    opened: list[str] = []
    read = incremental.read_plain_file
    monkeypatch.setattr(incremental, "read_plain_file", lambda path: opened.append(path.name) or read(path))
    frames = read_store(small)
    monkeypatch.undo()
    assert_true(frames, small)
    assert [name for name in opened if name.endswith(".jsonl")] == [log.name]
    assert sorted(path.name for path in (small / "frames").iterdir()) == before


def test_a_full_disk_disables_only_the_cache(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert_true(read_store(small), small)
    monkeypatch.undo()
    assert_true(read_store(small), small)


def test_concurrent_readers_and_a_deleted_cache_folder_are_harmless(small: Path) -> None:
    def read_often() -> None:
        for _ in range(8):
            assert_true(read_store(small), small)

    with ThreadPoolExecutor(3) as readers:
        read = [readers.submit(read_often) for _ in range(3)]
        while not all(reader.done() for reader in read):
            shutil.rmtree(small / "frames", ignore_errors=True)
    for reader in read:
        reader.result()
    assert_true(read_store(small), small)


def test_a_reader_does_not_wait_forever_for_a_hanging_one(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "frames") as ours, folder_lock(tmp_path / "frames", patience=0.1) as theirs:
        assert ours
        assert not theirs


def test_the_cells_and_trials_of_a_store_are_those_of_its_studies(tmp_path: Path) -> None:
    study = write_store(tmp_path, rules_study(names=["bp", "kp"], seeds=2, epochs=2), missing=[("kp", 1)])
    space = write_search(tmp_path)
    frames = read_store(tmp_path)
    cells = frames.cells[frames.cells["study"] == study.key]
    listed = {(row.cell, row.seed): row.run for row in cells.itertuples()}
    assert listed == {(cell, seed): key_of(study, cell, seed) for cell in ("bp", "kp") for seed in (0, 1)}
    assert set(cells.loc[cells["reference"], "cell"]) == {"bp"}
    plan = find_study(tmp_path, space.key)
    assert not isinstance(plan, StudyPlan)
    trials = frames.trials.set_index("study").loc[[space.key]].reset_index(drop=True)
    pd.testing.assert_frame_equal(trials[list(TRIALS)], read_trials(tmp_path, plan).frame[list(TRIALS)])


def test_settings_are_read_by_their_dotted_path(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(names=["bp", "wm"], seeds=1, epochs=1))
    frames = read_store(tmp_path)
    settings = frames.settings("optim.lr", "rule.eta").merge(frames.runs[["run", "rule"]]).set_index("rule")
    assert settings["optim.lr"].notna().all()
    assert settings["rule.eta"].notna().to_dict() == {"bp": False, "wm": True}
    with pytest.raises(ValueError, match=r"'optim\.rl' \(did you mean optim\.lr\?\)"):
        frames.settings("optim.rl")


def test_a_log_of_a_later_version_is_left_out_and_reported(small: Path) -> None:
    study = find_study(small)
    assert isinstance(study, StudyPlan)
    log = small / "logs" / f"{study.runs[0][0]}.jsonl"
    log.write_text(log.read_text().replace('"schema": 1', '"schema": 2'))
    frames = read_store(small)
    assert frames.problems == (f"{log} has log schema 2, this version of nowt reads up to 1: update nowt",)
    assert len(frames.runs) == 3
    assert "1 unreadable file" in str(frames)
    run = read_frames(small, study).runs.iloc[0]
    assert (run["state"], run["reason"]) == ("unreadable", frames.problems[0])


def test_a_finished_run_without_an_error_at_its_end_has_diverged(small: Path) -> None:
    study = find_study(small)
    assert isinstance(study, StudyPlan)
    log = small / "logs" / f"{study.runs[0][0]}.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    last = [line for line in lines if line["kind"] == "epoch"][-1]
    last |= dict.fromkeys(("train_loss", "val_loss", "val_error", "test_loss", "test_error"))
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = read_frames(small, study).runs.iloc[0]
    assert (run["state"], run["diverged_epoch"]) == ("diverged", last["epoch"])


def test_a_store_of_a_later_version_is_a_one_line_error(small: Path) -> None:
    for log in (small / "logs").iterdir():
        log.write_text(log.read_text().replace('"schema": 1', '"schema": 7'))
    with pytest.raises(ValueError, match=r"^\S+ has log schema 7, this version of nowt reads up to 1: update nowt$"):
        read_store(small)


@pytest.mark.parametrize("line", ["no log", "[]", "{}", '{"kind": "epoch", "time": 1}', '{"kind": "end"}'])
def test_an_invalid_line_is_reported_and_affects_only_its_log(small: Path, line: str) -> None:
    log = sorted((small / "logs").iterdir())[1]
    log.write_text(log.read_text() + line + "\n")
    (problem,) = read_store(small).problems
    assert str(log) in problem
    assert problem.endswith("move the file away")
    assert len(read_store(small).runs) == 3


def test_a_study_file_that_cannot_be_read_is_named_and_the_rest_is_drawn(small: Path) -> None:
    (small / "studies" / "odd.json").write_text("{")
    frames = read_store(small)
    assert len(frames.cells) == 4
    assert len(frames.problems) == 1
    assert "odd.json is not JSON" in frames.problems[0]


def test_a_missing_store_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^there is no store at \S+nowhere: give the folder"):
        read_store(tmp_path / "nowhere")


def test_rebuilt_frames_are_read_from_every_log_and_counted(small: Path) -> None:
    read_store(small)
    (small / "logs" / "0000000000ff.jsonl").write_text("no log\n")
    lines = rebuild_frames(small).splitlines()
    assert lines[0] == f"4 runs, 18 epochs and 24 layers of them written to {small}/frames"
    assert lines[1].startswith(f"left out: {small}/logs/0000000000ff.jsonl, line 1 is not a line")
