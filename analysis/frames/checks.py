"""Whether a study or a search has anything to show yet."""

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.frames.trials import Trials


def require_counted_runs(frames: Frames) -> None:
    """Raises ValueError for a study without a finished or diverged run, saying how its runs stand."""
    if counted_runs(frames.runs).empty:
        found = _states_in_words(frames.runs)
        if (unreadable := frames.runs[frames.runs["state"] == "unreadable"]).size:
            raise ValueError(f"study {frames.study.key} has no finished run ({found}): {unreadable['reason'].iloc[0]}")
        again = f"`nowt ablate {frames.study.name}` goes on with them"
        raise ValueError(f"study {frames.study.key} has no finished run yet ({found}): {again}")


def require_counted_trials(trials: Trials) -> None:
    """Raises ValueError for a search without a finished or diverged trial, saying how its trials stand."""
    if trials.counted.empty:
        found = _states_in_words(trials.frame) or "no trial"
        again = f"`nowt search {trials.plan.name}` goes on with it"
        raise ValueError(f"search {trials.plan.key} has no finished trial yet ({found}): {again}")


def _states_in_words(rows: pd.DataFrame) -> str:
    """``2 running, 1 failed``."""
    return ", ".join(f"{count} {state}" for state, count in rows["state"].value_counts().items())
