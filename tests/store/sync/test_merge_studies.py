"""Study files that change while stores are merged, and study files that lead out of a store."""

import json
from pathlib import Path
from typing import Any

import pytest

from nowt.core.errors import ConfigError, UserError
from nowt.store.listed_runs import ListedRun
from nowt.store.locks import study_lock
from nowt.store.study_file import append_failure, append_run, read_study_file, write_study_file
from nowt.store.sync.merge import Databases, merge
from nowt.store.sync.merge_studies import incoming_study_files, study_keys, write_study_files
from tests.support.study_content import CONTENT

KEY = "s-00000001"


def while_comparing(act: Any) -> Databases:
    """Databases whose comparison does something else at the same time."""
    return Databases(lambda other, store: (act(), 0)[1], lambda other, store: None, lambda store, afresh: None)


def nothing() -> None:
    pass


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    """Two stores with a study, of which the other store lists one run more."""
    other, store = tmp_path / "other", tmp_path / "store"
    write_study_file(other, KEY, CONTENT, [ListedRun("aaaaaaaaaaaa", "bp", 0), ListedRun("bbbbbbbbbbbb", "bp", 1)])
    write_study_file(store, KEY, CONTENT, [ListedRun("aaaaaaaaaaaa", "bp", 0)])
    return other, store


def keys(store: Path) -> list[str]:
    return [run.key for run in read_study_file(store / "studies" / f"{KEY}.json").runs]


def test_no_study_starts_between_the_comparison_and_the_end_of_a_merge(stores: tuple[Path, Path]) -> None:
    other, store = stores
    refused = []

    def start_study() -> None:
        try:
            with study_lock(store, KEY):
                write_study_file(store, KEY, CONTENT, [ListedRun("cccccccccccc", "bp", 2)])
        except ConfigError as error:
            refused.append(str(error))

    merge(other, store, print, while_comparing(start_study))
    assert len(refused) == 1 and keys(store) == ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]
    start_study()
    assert keys(store) == ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]


def test_a_study_that_begins_in_the_other_store_meanwhile_is_left_for_the_next_merge(
    stores: tuple[Path, Path],
) -> None:
    other, store = stores
    locked = study_keys(other, store)
    write_study_file(other, "t-00000001", {**CONTENT, "name": "t"})
    write_study_files(incoming_study_files(other, store, locked))
    assert not (store / "studies" / "t-00000001.json").exists()
    merge(other, store, print, while_comparing(nothing))
    assert (store / "studies" / "t-00000001.json").exists()


def test_the_same_run_with_a_field_of_another_version_is_listed_once(stores: tuple[Path, Path]) -> None:
    other, store = stores
    path = other / "studies" / f"{KEY}.json"
    data = json.loads(path.read_text())
    data["runs"][0]["watts"] = 7
    data["mood"] = "good"
    path.write_text(json.dumps(data))
    merge(other, store, print, while_comparing(nothing))
    merged = json.loads((store / "studies" / f"{KEY}.json").read_text())
    assert (merged["runs"], merged["mood"]) == (data["runs"], "good")


def test_a_merge_never_writes_a_study_that_cannot_be_read(
    stores: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, store = stores
    for folder, field in ((other, "theirs"), (store, "ours")):
        path = folder / "studies" / f"{KEY}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), field: "a" * 2000}))
    before = (store / "studies" / f"{KEY}.json").read_bytes()
    monkeypatch.setattr("nowt.store.jsonl.LONGEST_LINE", 3000)  # one study fits, both do not
    with pytest.raises(UserError, match=rf"{other}/studies/{KEY}.json .*longer than.*Nothing was merged"):
        merge(other, store, print, while_comparing(nothing))
    assert (store / "studies" / f"{KEY}.json").read_bytes() == before


@pytest.mark.parametrize("appended", [False, True])
def test_runs_of_a_cell_that_the_study_of_the_same_key_here_lacks_are_not_merged(
    appended: bool, stores: tuple[Path, Path]
) -> None:
    other, store = stores
    cells = [*CONTENT["cells"], {**CONTENT["cells"][0], "name": "unknown"}]
    planned = [] if appended else [ListedRun("cccccccccccc", "unknown", 0)]
    study, _ = write_study_file(other, KEY, {**CONTENT, "cells": cells}, planned)
    if appended:
        append_run(other, study, ListedRun("cccccccccccc", "unknown", 0, trial=1))
    with pytest.raises(UserError, match=rf"{other}/studies/{KEY}.*'unknown'.*Nothing was merged"):
        merge(other, store, print, while_comparing(nothing))
    assert keys(store) == ["aaaaaaaaaaaa"]


def test_the_claim_of_a_study_is_kept_with_the_time_of_its_first_record(stores: tuple[Path, Path]) -> None:
    other, store = stores
    claim = {"cells": ["kp"], "margin": 1.5, "max_delta_angle": None}
    theirs, _ = write_study_file(other, KEY, {**CONTENT, "claim": claim})
    merge(other, store, print, while_comparing(nothing))
    merged = read_study_file(store / "studies" / f"{KEY}.json")
    assert (merged.claim, merged.claimed) == (claim, theirs.claimed) and merged.claimed is not None
    assert merged.claimed_seeds == theirs.claimed_seeds == [0, 1]
    earlier = {**merged.to_json(), "claimed": merged.claimed - 5, "claimed_seeds": [0]}
    (other / "studies" / f"{KEY}.json").write_text(json.dumps(earlier))
    merge(other, store, print, while_comparing(nothing))
    both = read_study_file(store / "studies" / f"{KEY}.json")
    assert (both.claimed, both.claimed_seeds) == (merged.claimed - 5, [0])
    earliest = {**merged.to_json(), "claimed": merged.claimed - 9}
    del earliest["claimed_seeds"]  # as an earlier version wrote it
    (other / "studies" / f"{KEY}.json").write_text(json.dumps(earliest))
    merge(other, store, print, while_comparing(nothing))
    both = read_study_file(store / "studies" / f"{KEY}.json")
    assert (both.claimed, both.claimed_seeds) == (merged.claimed - 9, [0, 1])


def test_appended_lines_of_both_stores_are_kept(stores: tuple[Path, Path]) -> None:
    for folder, trial, key in zip(stores, (0, 1), ("d" * 12, "e" * 12), strict=True):
        study = read_study_file(folder / "studies" / f"{KEY}.json")
        append_run(folder, study, ListedRun("cccccccccccc", "bp", 0, trial=2))
        append_run(folder, study, ListedRun(key, "bp", 0, trial))
    append_failure(stores[0], study, ListedRun("cccccccccccc", "bp", 0, trial=2))
    other, store = stores
    merge(other, store, print, while_comparing(nothing))
    runs = {run.key: run for run in read_study_file(store / "studies" / f"{KEY}.json").runs}
    assert runs.keys() == {letter * 12 for letter in "abcde"} and runs["c" * 12].failed


@pytest.mark.parametrize("text", ["../../poetry", "/tmp/poetry", "poetry"])
def test_a_study_file_whose_key_leads_elsewhere_touches_no_file(
    text: str, stores: tuple[Path, Path], tmp_path: Path
) -> None:
    precious = tmp_path / "poetry.lock"
    precious.write_text("precious")
    other, store = stores
    path = other / "studies" / f"{KEY}.json"
    path.write_text(path.read_text().replace(f'"key": "{KEY}"', f'"key": "{text}"'))
    with pytest.raises(ValueError, match=rf"{KEY}\.json is (not a study file|the file of study poetry)"):
        merge(other, store, print, while_comparing(nothing))
    assert precious.read_text() == "precious"
    assert sorted(path.name for path in (store / "studies").iterdir()) == [f"{KEY}.json"]


def test_a_study_file_of_a_newer_version_is_not_merged_into(stores: tuple[Path, Path]) -> None:
    other, store = stores
    path = store / "studies" / f"{KEY}.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is a study file of schema 2"):
        merge(other, store, print, while_comparing(nothing))
    assert path.read_bytes() == before
