"""Whether a claim was recorded before the runs of a study, and of the search whose best settings it trains."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.frames.study import Frames
from nowt.studies.claim import Claim
from nowt.studies.study import Study
from tests.support.synthetic_frames import frames_in
from tests.support.synthetic_search import search_space, write_search
from tests.support.synthetic_store import rules_study, write_store

CLAIM = Claim(("wm",), 1.5)

LATER = 2**50  # milliseconds since 1970, after all runs of these tests


def edit(store: Path, key: str, **fields: Any) -> None:
    path = store / "studies" / f"{key}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def picks_of(store: Path) -> Study:
    """Write a search of six trials, its confirmation with four runs, and its picks with four runs and a claim."""
    space = write_search(store, replace(search_space(), claim=CLAIM), trials=3)
    chosen = rules_study("tuned_confirmed", names=["bp", "wm"], seeds=2, epochs=2)
    write_store(store, replace(chosen, search=space.key), layers=1, created=2)
    picks = rules_study("tuned_picks", names=["bp", "wm"], seeds=2, epochs=1)
    write_store(store, picks := replace(picks, claim=CLAIM, search=space.key), layers=1, created=3)
    return picks


@pytest.fixture
def picks(tmp_path: Path) -> Study:
    return picks_of(tmp_path)


def before(store: Path) -> int | None:
    found: Frames = frames_in(store)
    return found.before_claim


def test_a_claim_recorded_after_the_search_was_not_stated_beforehand(tmp_path: Path, picks: Study) -> None:
    edit(tmp_path, picks.key, claimed=LATER)
    edit(tmp_path, picks.search, claimed=LATER)
    assert before(tmp_path) == 6 + 4 + 4


def test_a_claim_recorded_with_the_search_was_stated_before_the_picks_were_written(
    tmp_path: Path, picks: Study
) -> None:
    edit(tmp_path, picks.key, claimed=LATER)
    edit(tmp_path, picks.search, claimed=1)
    assert before(tmp_path) == 0
    edit(tmp_path, picks.search, claim=Claim(("wm",), 3.0).to_json())
    assert before(tmp_path) == 6 + 4 + 4


def test_runs_on_earlier_images_came_before_the_claim_too(tmp_path: Path) -> None:
    study = replace(rules_study(names=["bp", "wm"], seeds=2, epochs=1), claim=CLAIM)
    write_store(tmp_path, study, layers=1)
    listed = json.loads((tmp_path / "studies" / f"{study.key}.json").read_text())["runs"]
    repeated = [{**run, "key": f"{n:012x}"} for n, run in enumerate(listed)]
    edit(tmp_path, study.key, claimed=LATER, runs=[*listed, *repeated])
    assert before(tmp_path) == 4


def test_without_the_search_it_is_unknown_whether_the_claim_came_first(tmp_path: Path, picks: Study) -> None:
    edit(tmp_path, picks.key, claimed=1)
    assert before(tmp_path) == 0
    (tmp_path / "studies" / f"{picks.search}.json").unlink()
    assert before(tmp_path) is None
