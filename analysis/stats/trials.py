"""Statistics of a search's trials: the values of the best ones, the share near the best, and the Pareto front."""

from collections.abc import Callable

import pandas as pd

from analysis.frames.searches import Setting
from analysis.frames.study import counted_runs
from analysis.frames.trials import Trials

LEARNING_RATE, WEIGHT_DECAY = "optim.lr", "optim.weight_decay"


def landscape_cells(trials: Trials) -> list[str]:
    """Return the cells that varied learning rate and weight decay and have a finished trial."""
    finished = set(trials.frame.loc[trials.frame["state"] == "finished", "cell"])
    numbers = {cell: {s.name for s in varied if s.numeric} for cell, varied in trials.plan.settings.items()}
    return [cell for cell in trials.plan.cells if cell in finished and {LEARNING_RATE, WEIGHT_DECAY} <= numbers[cell]]


def shares_near_best(trials: Trials) -> pd.DataFrame:
    """Return how many trials of each cell come near its best: one row per cell and counted trial.

    Columns: cell, rule, points (percentage points of error above the cell's best finished trial), and share (percent of
    the cell's counted trials with at most that error).
    """
    parts = []
    for cell, mine in trials.frame.groupby("cell", sort=False):
        finished, counted = mine[mine["state"] == "finished"], counted_runs(mine)
        if finished.empty:
            continue
        points = (100 * (counted["error"] - finished["error"].min())).sort_values(ignore_index=True).clip(lower=0)
        shares = 100 * (points.index + 1) / len(points)
        parts.append(pd.DataFrame({"cell": cell, "rule": mine["rule"].iloc[0], "points": points, "share": shares}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["cell", "rule", "points", "share"])


def pareto_front(shown: pd.DataFrame) -> pd.DataFrame:
    """Return each cell's Pareto front: the rows of ``shown`` (cell, compute, error) that no other row dominates."""
    ordered = shown.sort_values(["compute", "error"], kind="stable")
    before = ordered.groupby("cell")["error"].transform(lambda errors: errors.cummin().shift())
    return ordered[before.isna() | (ordered["error"] < before)]


def range_values(trials: Trials) -> pd.DataFrame:
    """Return the values of settings with a range: one row per cell, setting and counted trial.

    Columns: cell, setting, trial, value, rank (1 is the best finished trial; NaN for a diverged one), error (percent).
    """
    return _values(trials, range_settings)


def choice_values(trials: Trials) -> pd.DataFrame:
    """Return the values of settings with a list of choices, in the form of ``range_values``."""
    return _values(trials, choice_settings)


def _values(trials: Trials, of: Callable[[Trials, str], list[Setting]]) -> pd.DataFrame:
    parts = [pd.DataFrame(columns=["cell", "setting", "trial", "value", "rank", "error"])]
    for cell, mine in counted_runs(trials.frame).groupby("cell", sort=False):
        ranks = mine["error"].where(mine["state"] == "finished").rank(method="first")
        for setting in of(trials, str(cell)):
            values = pd.DataFrame({"trial": mine["trial"], "value": mine[setting.name], "rank": ranks})
            parts.append(
                values.assign(cell=cell, setting=setting.name, error=100 * mine["error"]).dropna(subset="value")
            )
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def range_settings(trials: Trials, cell: str) -> list[Setting]:
    """Return the numeric settings that the search drew from a range in this cell."""
    return [setting for setting in trials.plan.settings[cell] if setting.numeric and not setting.values]


def choice_settings(trials: Trials, cell: str) -> list[Setting]:
    """Return the settings that the search chose from a list in this cell."""
    return [setting for setting in trials.plan.settings[cell] if setting.values]
