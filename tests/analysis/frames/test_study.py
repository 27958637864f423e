"""The frames of one study."""

import json
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames.schema import enforce_schema
from analysis.frames.study import EPOCHS, LAYERS, RUNS, Frames
from nowt.cli.main import main
from nowt.store.run_log import read
from tests.support.synthetic_frames import frames_in
from tests.support.synthetic_store import key_of, rules_study, write_store


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Five rules, three seeds, ten epochs; one run of fa diverged in its fifth epoch."""
    store = tmp_path_factory.mktemp("store")
    write_store(store, diverged={("fa", 2): 4})
    return frames_in(store)


def test_the_frames_have_the_declared_columns_and_a_row_for_each_run_epoch_and_layer(frames: Frames) -> None:
    for frame, columns in ((frames.runs, RUNS), (frames.epochs, EPOCHS), (frames.layers, LAYERS)):
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == columns
    assert len(frames.runs) == 15
    assert len(frames.epochs) == 14 * 11 + 5
    assert len(frames.layers) == 8 * (11 * 11 + 5)  # bp has no feedback weights


def test_a_frame_contains_the_numbers_of_the_log(tmp_path: Path) -> None:
    study = write_store(tmp_path, rules_study(names=["wm"], epochs=3))
    frames = frames_in(tmp_path)
    key = key_of(study, "wm", 1)
    logged = read(tmp_path / "logs" / f"{key}.jsonl").epochs[2]
    row = frames.epochs.set_index(["run", "epoch"]).loc[(key, 2)]
    assert row["test_error"] == logged.test_error
    assert row["mirror_presentations"] == logged.mirror_presentations
    layer = frames.layers.set_index(["run", "epoch", "layer"]).loc[(key, 2, "layer3")]
    assert layer["matrix_angle"] == logged.layers[3].matrix_angle


def on_other_images(store: Path, key: str) -> None:
    """Say in the log of a run that it used other images."""
    log = store / "logs" / f"{key}.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text("".join([json.dumps({**json.loads(first), "images": "f" * 16}) + "\n", *rest]))


def test_runs_on_different_images_are_not_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = rules_study(names=["bp", "fa"], seeds=2, epochs=1)
    write_store(tmp_path, study)
    assert set(frames_in(tmp_path).runs["images"]) == {"made-up"}
    for cell in ("bp", "fa"):
        on_other_images(tmp_path, key_of(study, cell, 1))
    message = f"study {study.key} has runs on images made-up (seed 0) and ffffffff (seed 1), which are not averaged: "
    with pytest.raises(ValueError, match=re.escape(message)):
        frames_in(tmp_path)
    assert main(["report", study.name, "--store", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"run nowt ablate {study.name} again, on the images to keep" in said and len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="no column b; it has: a"):
        enforce_schema(pd.DataFrame({"a": [1]}), {"a": "int64", "b": "str"})


def test_fifteen_runs_are_read_in_less_than_a_second(tmp_path: Path) -> None:
    write_store(tmp_path, rules_study(epochs=12), layers=10)
    start = time.perf_counter()
    frames_in(tmp_path)
    assert time.perf_counter() - start < 1
