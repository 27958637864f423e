"""A search's trials as one tidy frame with declared and checked columns, from its sheet and its epoch logs alone.

One row is one trial. Errors are shares from 0 to 1, costs sums since the run's start. A setting that a trial did not
have is empty: another rule's, or one that exists only beside some value of another.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from nowt.log import RunLog

from analysis.frames import checked, read_log
from analysis.searches import SearchPlan
from analysis.seeds import counted_runs

TRIALS = {
    "run": "str",  # run key
    "cell": "str",
    "rule": "str",
    "trial": "int64",  # number, from 0, among its cell's trials
    "state": "str",  # not started, running, finished, diverged, stopped (early), failed
    "reason": "str",
    "error": "float64",  # on the validation pictures after the last epoch it ran; diverged: chance, 1 - 1/classes
    "epochs": "int64",  # trained
    "presentations": "float64",  # mirror samples included
    "flops": "float64",
    "seconds": "float64",  # in training steps, mirror mode included
}  # and after these, a column for each setting that the search varied


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


def trial_columns(plan: SearchPlan) -> dict[str, str]:
    """The columns of the plan's trials and their types: TRIALS, and a number or a text for each setting."""
    numeric: dict[str, bool] = {}
    for setting in (setting for varied in plan.settings.values() for setting in varied):
        numeric[setting.name] = setting.numeric and numeric.get(setting.name, True)
    return TRIALS | {name: "float64" if number else "str" for name, number in numeric.items()}


def read_trials(store: Path, plan: SearchPlan) -> Trials:
    """The trials of a search. Raises ValueError for a log that cannot be read, naming the line."""
    order = {cell: number for number, cell in enumerate(plan.cells)}
    planned = sorted(plan.runs, key=lambda run: (order[run[1]], run[2]))
    columns = trial_columns(plan)
    rows = [_row(plan, cell, number, read_log(store, key)) for key, cell, number in planned]
    return Trials(plan, checked(pd.DataFrame(rows, columns=list(columns)), columns))


def _row(plan: SearchPlan, cell: str, number: int, log: RunLog) -> dict[str, Any]:
    config = log.start.get("config", {})
    return {
        "run": log.key,
        "cell": cell,
        "rule": plan.cells[cell]["rule"]["name"],
        "trial": number,
        "state": log.state,
        "reason": log.reason,
        "error": _error(log),
        "epochs": max(log.last_epoch, 0),
        **_costs(log),
        **{setting.name: setting.value_in(config) for setting in plan.settings[cell]},
    }


def _error(log: RunLog) -> float | None:
    if log.state == "diverged":
        return float(1 - 1 / log.start["classes"])
    return log.epochs[-1].val_error if log.epochs else None


def _costs(log: RunLog) -> dict[str, float]:
    if not log.epochs:
        return {"presentations": 0.0, "flops": 0.0, "seconds": 0.0}
    last = log.epochs[-1]
    return {
        "presentations": last.presentations + last.mirror_presentations,
        "flops": last.flops,
        "seconds": last.seconds,
    }
