"""The frames of made-up studies and searches, as figures get them."""

from pathlib import Path
from typing import Any

from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames
from analysis.frames.trials import Trials, read_trials
from nowt.studies.study import Study
from tests.support.synthetic_search import write_search
from tests.support.synthetic_store import rules_study, write_store


def frames_of(store: Path, study: Study | None = None, **how: Any) -> Frames:
    write_store(store, study or rules_study(epochs=3), **{"layers": 3, **how})
    plan = find_study(store)
    assert isinstance(plan, StudyPlan)
    return read_frames(store, plan)


def trials_of(store: Path, *arguments: Any, **how: Any) -> Trials:
    write_search(store, *arguments, **how)
    plan = find_study(store)
    assert isinstance(plan, SearchPlan)
    return read_trials(store, plan)
