"""The cost of training, in the units in which budgets are counted: presentations, FLOPs or seconds."""

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.stats.seeds import error_curves, final_errors, mean_interval, percent

COSTS = ("presentations", "flops", "seconds")

AXES = ("epochs", *COSTS)


def epoch_costs(frames: Frames, against: str) -> pd.DataFrame:
    """Return the mean cost of each cell up to each epoch, over its counted runs: columns cell, epoch, cost.

    A diverged run spends nothing after it diverged.
    """
    if against == "epochs":
        found = frames.epochs[["cell", "epoch"]].drop_duplicates()
        return found.assign(cost=found["epoch"].astype("float64"))
    epochs = frames.epochs[frames.epochs["run"].isin(counted_runs(frames.runs)["run"])]
    mean = epochs.assign(cost=cumulative_cost(epochs, against)).groupby(["cell", "epoch"], sort=False)["cost"].mean()
    return mean.reset_index()


def cumulative_cost(epochs: pd.DataFrame, against: str) -> "pd.Series[float]":
    """Return the cost, in the unit ``against``, that each row of ``epochs`` has accumulated.

    Presentations include mirror samples.
    """
    if against == "presentations":
        return epochs["presentations"] + epochs["mirror_presentations"]
    return epochs[against]


def with_cost(curves: pd.DataFrame, frames: Frames, against: str) -> pd.DataFrame:
    """Return ``curves`` (cell, epoch, ...) with a column ``cost``.

    Epochs that no run of a cell reached are extrapolated at the cell's mean cost per epoch. Rows whose cost is unknown
    are dropped.
    """
    if against == "epochs":
        return curves.assign(cost=curves["epoch"].astype("float64"))
    costs = epoch_costs(frames, against)
    rates = costs[costs["epoch"] > 0].groupby("cell").last()
    joined = curves.merge(costs, on=["cell", "epoch"], how="left")
    extrapolated = joined["cell"].map(rates["cost"] / rates["epoch"]) * joined["epoch"]
    return joined.assign(cost=joined["cost"].fillna(extrapolated)).dropna(subset="cost")


def run_costs(frames: Frames, split: str) -> pd.DataFrame:
    """Return one row per counted run: cell, run, seed, final error (percent) and its total COSTS.

    The cost of a diverged run is what it spent until it diverged.
    """
    final = percent(final_errors(error_curves(frames, split)))[["cell", "run", "seed", "error"]]
    last = frames.epochs[frames.epochs["epoch"] == frames.epochs.groupby(["cell", "run"])["epoch"].transform("max")]
    costs = last[["cell", "run"]].assign(**{against: cumulative_cost(last, against) for against in COSTS})
    return final.merge(costs, on=["cell", "run"]).dropna(subset="error")


def mean_costs(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell of ``run_costs``: n, mean, low and high of the error (percent), and mean COSTS."""
    costs = runs.groupby("cell", sort=False)[list(COSTS)].mean().reset_index()
    return mean_interval(runs, ["cell"], "error").merge(costs, on="cell")
