"""What an epoch has cost so far, in one of the units that budgets are counted in, and the axis that says which."""

from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.frames.study import Frames, counted_runs


@dataclass(frozen=True)
class Unit:
    """A cost, and what it is counted in from some size on."""

    title: str
    short: str  # for a small panel
    sizes: dict[str, float]  # by name, the smallest first


UNITS = {
    "presentations": Unit(
        "Presentations, mirror samples included", "Presentations", {"": 1, "thousands": 1e3, "millions": 1e6}
    ),
    "flops": Unit(
        "Training, mirror mode included", "Training", {"GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15, "EFLOP": 1e18}
    ),
    "seconds": Unit("Time in training steps", "Time", {"s": 1, "min": 60, "h": 3600}),
}

AXES = ("epochs", *UNITS)


def epoch_costs(frames: Frames, against: str) -> pd.DataFrame:
    """One row a cell and epoch: ``cost``, the mean over its counted runs of what they had spent by then.

    A run that diverged spends nothing more; epochs that no run of the cell reached go on at the rate of the others.
    """
    if against == "epochs":
        found = frames.epochs[["cell", "epoch"]].drop_duplicates()
        return found.assign(cost=found["epoch"].astype("float64"))
    epochs = frames.epochs[frames.epochs["run"].isin(counted_runs(frames.runs)["run"])]
    mean = epochs.assign(cost=spent(epochs, against)).groupby(["cell", "epoch"], sort=False)["cost"].mean()
    return mean.reset_index()


def spent(epochs: pd.DataFrame, against: str) -> "pd.Series[float]":
    """What each row of epochs had spent of the cost called ``against``."""
    if against == "presentations":
        return epochs["presentations"] + epochs["mirror_presentations"]
    return epochs[against]


def at_cost(curves: pd.DataFrame, frames: Frames, against: str) -> pd.DataFrame:
    """``curves`` (cell, epoch, ...) with the column ``cost``, without the rows whose cost nobody knows."""
    if against == "epochs":
        return curves.assign(cost=curves["epoch"].astype("float64"))
    costs = epoch_costs(frames, against)
    rates = costs[costs["epoch"] > 0].groupby("cell").last()
    joined = curves.merge(costs, on=["cell", "epoch"], how="left")
    going_on = joined["cell"].map(rates["cost"] / rates["epoch"]) * joined["epoch"]
    return joined.assign(cost=joined["cost"].fillna(going_on)).dropna(subset="cost")


def cost_size(largest: float, against: str) -> tuple[str, float]:
    """What costs up to ``largest`` are counted in: its name and its size."""
    sizes = UNITS[against].sizes
    fitting = [name for name, size in sizes.items() if largest >= 2 * size]
    name = fitting[-1] if fitting else next(iter(sizes))
    return name, sizes[name]


def cost_title(against: str, size: str, small: bool = False) -> str:
    """The axis' text."""
    text = UNITS[against].short if small else UNITS[against].title
    return f"{text} ({size})" if size else text


def cost_axis(field: str, against: str, size: str, named: bool = True, small: bool = False) -> Any:
    """The axis of a cost that is counted in ``size`` already; not ``named``: without its text."""
    axis = alt.Axis(tickCount=4 if small else 8, grid=False, format="~s", labels=named)
    title = cost_title(against, size, small) if named else None
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(nice=False), axis=axis)
