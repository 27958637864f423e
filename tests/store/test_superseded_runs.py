"""Runs in whose place later ones count: which, in which study, and that other settings are another study."""

import json
from pathlib import Path
from typing import Any

from nowt.store.listed_runs import ListedRun
from nowt.store.study_file import StudyFile, read_study_files, write_study_file
from nowt.store.superseded_runs import superseded_everywhere, superseded_runs

CONFIG: dict[str, Any] = {"rule": {"name": "bp"}, "model": {"name": "/lab/net.py:build"}, "epochs": 3}
CONFIG |= {"data": {"name": "digits"}, "seed": 0}


def study(key: str, runs: list[tuple[str, str, int]], started: int | None, **changes: Any) -> StudyFile:
    """A study of the cells a and b with the ``runs``: key, cell and seed of each."""
    name = changes.pop("name", key.partition("-")[0])
    cells = [{"name": cell, "config": {**CONFIG, **changes}} for cell in "ab"]
    listed = [ListedRun(*run) for run in runs]
    return StudyFile(1, name, "?", "a", [0], cells=cells, key=key, created=1, started=started, runs=listed)


def test_of_a_cell_and_seed_the_last_listed_run_counts() -> None:
    runs = [
        ("aaaaaaaaaaa1", "a", 0),
        ("aaaaaaaaaaa2", "b", 0),
        ("aaaaaaaaaaa3", "a", 1),
        ("aaaaaaaaaaa4", "a", 0),
        ("aaaaaaaaaaa5", "b", 0),
    ]
    assert superseded_runs([study("s-00000001", runs, 5)]) == {
        "s-00000001": {"aaaaaaaaaaa1": "aaaaaaaaaaa4", "aaaaaaaaaaa2": "aaaaaaaaaaa5"}
    }


def test_a_run_that_counts_in_another_cell_is_not_superseded() -> None:
    runs = [("aaaaaaaaaaa1", "a", 0), ("aaaaaaaaaaa1", "b", 0), ("aaaaaaaaaaa2", "a", 0)]
    assert superseded_runs([study("s-00000001", runs, 5)]) == {"s-00000001": {}}


def test_a_study_with_other_code_supersedes_the_runs_of_an_earlier_start() -> None:
    before = study("s-00000001", [("aaaaaaaaaaa1", "a", 0), ("aaaaaaaaaaa2", "b", 0), ("aaaaaaaaaaa3", "a", 1)], None)
    now = study(
        "s-00000002",
        [("aaaaaaaaaaa4", "a", 0), ("aaaaaaaaaaa2", "b", 0)],
        5,
        model={"name": "/home/net.py:build", "new": 1},
    )
    assert superseded_runs([before, now]) == {"s-00000001": {"aaaaaaaaaaa1": "aaaaaaaaaaa4"}, "s-00000002": {}}
    again = study(
        "s-00000001", [("aaaaaaaaaaa1", "a", 0), ("aaaaaaaaaaa2", "b", 0), ("aaaaaaaaaaa3", "a", 1)], 7
    )  # the change was undone
    assert superseded_runs([again, now]) == {"s-00000001": {}, "s-00000002": {"aaaaaaaaaaa4": "aaaaaaaaaaa1"}}


def test_studies_with_other_settings_or_of_other_names_supersede_nothing() -> None:
    before = study("s-00000001", [("aaaaaaaaaaa1", "a", 0)], 5)
    for other in (
        study("s-00000002", [("aaaaaaaaaaa2", "a", 0)], 6, epochs=4),
        study("t-00000002", [("aaaaaaaaaaa2", "a", 0)], 6),
    ):
        assert superseded_runs([before, other]) == {before.key: {}, other.key: {}}


def write(store: Path, key: str, runs: list[tuple[str, str, int]]) -> StudyFile:
    content = {"name": key.partition("-")[0], "question": "?", "reference": "a", "seeds": [0]}
    cells = [{"name": cell, "config": CONFIG} for cell in "ab"]
    return write_study_file(store, key, {**content, "cells": cells}, [ListedRun(*run) for run in runs])[0]


def test_a_run_that_counts_in_another_study_is_superseded_in_its_own_alone(tmp_path: Path) -> None:
    write(tmp_path, "s-00000001", [("aaaaaaaaaaa1", "a", 0), ("aaaaaaaaaaa2", "b", 0)])
    first = write(tmp_path, "s-00000001", [("aaaaaaaaaaa3", "a", 0), ("aaaaaaaaaaa4", "b", 0)])
    write(tmp_path, "other-00000001", [("aaaaaaaaaaa1", "a", 0)])
    assert superseded_everywhere(tmp_path) == {"aaaaaaaaaaa2": "aaaaaaaaaaa4"}
    assert superseded_everywhere(tmp_path, [first]) == {"aaaaaaaaaaa1": "aaaaaaaaaaa3", "aaaaaaaaaaa2": "aaaaaaaaaaa4"}


def test_the_time_of_the_last_start_is_in_the_study_file(tmp_path: Path) -> None:
    first = write(tmp_path, "s-00000001", [])
    again = write(tmp_path, "s-00000001", [])
    assert first.started and again.started and first.created <= first.started <= again.started
    assert again.created == first.created
    path = tmp_path / "studies/s-00000001.json"
    data = json.loads(path.read_text())
    del data["started"]  # as earlier versions wrote it
    path.write_text(json.dumps(data))
    assert [file.started for file in read_study_files(tmp_path)] == [None]
