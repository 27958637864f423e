"""A search's trials as one tidy frame with declared and checked columns, from its study file and its epoch logs alone.

One row is one trial. Errors are shares from 0 to 1, costs sums since the run's start. A setting that a trial did not
have is empty: another rule's, or one that exists only beside some value of another.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.frames.searches import SearchPlan
from analysis.frames.store.logs import read_logs
from analysis.frames.store.trial_rows import trial_frame
from analysis.frames.study import counted_runs, states_in_words


@dataclass(frozen=True)
class Trials:
    """A search and its trials, in the order of cells and numbers."""

    plan: SearchPlan
    frame: pd.DataFrame  # columns trial_columns(plan)

    @property
    def counted(self) -> pd.DataFrame:
        """The trials that ran to an end and have an error to compare: finished or diverged."""
        return counted_runs(self.frame)

    @property
    def independent(self) -> bool:
        """Whether the counted trials are draws of one distribution, none of them cut short."""
        return self.plan.independent and not (self.frame["state"] == "stopped").any()


def read_trials(store: Path, plan: SearchPlan) -> Trials:
    """The trials of a search. Raises ValueError for a log that cannot be read, naming the line."""
    return Trials(plan, trial_frame(read_logs(store, [run for run, _, _ in plan.runs]), plan))


def require_counted_trials(trials: Trials) -> None:
    """Raises ValueError for a search without a finished or diverged trial, saying how its trials stand."""
    if trials.counted.empty:
        found = states_in_words(trials.frame) or "no trial"
        again = f"`nowt search {trials.plan.name}` goes on with it"
        raise ValueError(f"search {trials.plan.key} has no finished trial yet ({found}): {again}")
