"""The frames of made-up studies and searches, as figures get them."""

from pathlib import Path
from typing import Any

from nowt.study import Study
from synthetic_search import write_search
from synthetic_store import rules_study, write_store

from analysis.frames import Frames, read_frames
from analysis.searches import SearchPlan
from analysis.studies import StudyPlan, find_study
from analysis.trials import Trials, read_trials


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
