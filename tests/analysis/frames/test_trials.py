"""The trials of a search as a frame."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.frames.searches import SearchPlan
from analysis.frames.store.trial_rows import TRIALS, trial_columns
from analysis.frames.studies import StudyPlan, find_study
from nowt.studies.search.params import Choice
from tests.support.synthetic_frames import trials_in
from tests.support.synthetic_search import drawn, search_space, write_search
from tests.support.synthetic_store import rules_study, write_store


def test_the_frame_has_the_declared_columns_and_a_row_for_each_trial(tmp_path: Path) -> None:
    write_search(tmp_path)
    trials = trials_in(tmp_path)
    assert {name: str(kind) for name, kind in trials.frame.dtypes.items()} == trial_columns(trials.plan)
    settings = ["optim.lr", "optim.weight_decay", "optim.schedule", "optim.milestones"]
    own = ["rule.decay", "rule.eta/rule.decay", "rule.samples"]
    assert list(trials.frame.columns) == [*TRIALS, *settings, *own]
    assert list(trials.frame["cell"]) == ["bp"] * 12 + ["wm"] * 12
    assert list(trials.frame["trial"]) == [*range(12), *range(12)]


def test_a_trial_has_exactly_the_values_that_it_was_given(tmp_path: Path) -> None:
    space = write_search(tmp_path)
    frame = trials_in(tmp_path).frame
    for cell in space.cells:
        for row in frame[frame["cell"] == cell.name].to_dict("records"):
            values = drawn(cell, row["trial"])
            assert {name for name in frame.columns if "." in name and not pd.isna(row[name])} == set(values)
            assert row["optim.schedule"] == values["optim.schedule"]
            assert row["optim.lr"] == values["optim.lr"]
            if cell.name == "wm":
                assert row["rule.eta/rule.decay"] == pytest.approx(values["rule.eta/rule.decay"])
    assert {"1, 2"} <= set(frame["optim.milestones"].dropna()) <= {"1, 2", "2"}


def test_errors_and_costs_are_those_of_the_last_epoch(tmp_path: Path) -> None:
    write_search(
        tmp_path,
        states={("wm", 0): "diverged", ("wm", 1): "stopped", ("wm", 2): "not started", ("wm", 3): "running"},
        error=lambda cell, trial, values: 0.25,
    )
    wm = trials_in(tmp_path).frame.query("cell == 'wm'").set_index("trial")
    assert list(wm["state"][:5]) == ["diverged", "stopped", "not started", "running", "finished"]
    assert list(wm["error"][[0, 1, 3, 4]]) == [0.9, 0.25, 0.25, 0.25]
    assert np.isnan(wm["error"][2])
    assert list(wm["epochs"][:5]) == [1, 1, 0, 1, 3]
    assert list(wm["presentations"][:5]) == [110, 110, 0, 110, 330]  # mirror samples included
    assert list(wm["seconds"][:5]) == [6, 6, 0, 6, 18]


def test_a_trial_that_failed_and_was_repeated_counts_once(tmp_path: Path) -> None:
    space = write_search(tmp_path, search_space(["bp"]), trials=4)
    path = tmp_path / "studies" / f"{space.key}.json"
    study_file = json.loads(path.read_text())
    study_file["runs"].append({**study_file["runs"][1], "trial": 4})
    study_file["runs"][1]["failed"] = True
    path.write_text(json.dumps(study_file))
    assert list(trials_in(tmp_path).frame["trial"]) == [0, 2, 3, 4]


def test_two_equal_choices_are_two_trials(tmp_path: Path) -> None:
    params = [Choice("optim.lr", (0.01, 0.1))]
    write_search(tmp_path, search_space(["bp"], params), trials=12)
    frame = trials_in(tmp_path).frame
    assert len(frame) == 12
    assert frame["run"].nunique() == 2
    assert str(frame["optim.lr"].dtype) == "float64"


def test_a_study_and_a_search_in_one_store_are_distinguished(tmp_path: Path) -> None:
    write_search(tmp_path, trials=2, created=2)
    write_store(tmp_path, rules_study(names=["bp"], epochs=2), created=1)
    assert isinstance(find_study(tmp_path), SearchPlan)
    assert isinstance(find_study(tmp_path, "rules"), StudyPlan)
