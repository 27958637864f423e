"""What seeds say: means with 95 % t intervals, gaps paired by seed, diverged runs counted at chance.

Only finished and diverged runs count. A diverged run's error is chance, 1 - 1/classes, from the epoch it
diverged on to its last. Fewer than three seeds give a mean and no interval. Errors are shares from 0 to 1.
"""

import pandas as pd
from scipy.special import stdtrit

from analysis.frames.study import Frames, counted_runs, rows
from nowt.store.records import chance_error

CONFIDENCE = 0.95

FEWEST_SEEDS = 3  # for an interval

ROUNDING = 1e-12  # values that scatter less are the same, and tell nothing of how others would scatter


def scored_split(frames: Frames) -> str:
    """``test``, or ``val`` where some counted run never opened the test pictures."""
    scored = frames.epochs.groupby("run")["test_error"].count()
    runs = counted_runs(frames.runs)["run"]
    return "test" if (scored.reindex(runs).fillna(1) > 0).all() else "val"


def error_curves(frames: Frames, split: str) -> pd.DataFrame:
    """One row a counted run and epoch: cell, rule, run, seed, epoch, error."""
    columns = ["cell", "rule", "run", "seed", "epoch", "error"]
    runs = counted_runs(frames.runs)
    curves = frames.epochs.merge(runs[["run", "cell", "diverged_epoch"]], on=["run", "cell"])
    healthy = (curves["epoch"] < curves["diverged_epoch"]).fillna(True).astype(bool)
    measured = curves[healthy].rename(columns={f"{split}_error": "error"})[columns]
    chance = pd.DataFrame(
        [
            (run.cell, run.rule, run.run, run.seed, epoch, chance_error(run.classes))
            for run in rows(runs[runs["state"] == "diverged"])
            for epoch in range(run.diverged_epoch, run.epochs + 1)
        ],
        columns=columns,
    ).astype(measured.dtypes.to_dict())
    return pd.concat([measured, chance], ignore_index=True)


def shared_epochs(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``error_curves`` up to the last epoch that all runs of their cell came to: a mean over fewer seeds is
    another curve."""
    ends = curves.groupby(["cell", "run"])["epoch"].max().groupby("cell").min()
    return curves[curves["epoch"] <= curves["cell"].map(ends)]


def final_errors(curves: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``error_curves`` at each run's last epoch, never at its best."""
    return curves.loc[curves.groupby(["cell", "run"], sort=False)["epoch"].idxmax()]


def mean_interval(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """n, mean, low and high of ``value`` in each group of ``by``: the t interval, NaN below three values and
    where all are the same."""
    groups = frame.groupby(by, sort=False)[value].agg(n="count", mean="mean", deviation="std").reset_index()
    n = groups["n"].where((groups["n"] >= FEWEST_SEEDS) & (groups["deviation"] > ROUNDING))
    half = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * groups["deviation"] / n**0.5
    return groups.drop(columns="deviation").assign(low=groups["mean"] - half, high=groups["mean"] + half)


def paired_gaps(final: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Each cell's error minus the reference cell's with the same seed: cell, n pairs, mean, low, high."""
    base = final.loc[final["cell"] == reference, ["seed", "error"]]
    others = final[final["cell"] != reference]
    pairs = others.merge(base, on="seed", suffixes=("", "_reference"))
    pairs = pairs.assign(gap=pairs["error"] - pairs["error_reference"])
    return mean_interval(pairs, ["cell"], "gap")


def diverged_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """By cell: n counted runs, and how many of them diverged."""
    counted = counted_runs(runs).assign(diverged=lambda frame: frame["state"] == "diverged")
    return counted.groupby("cell", sort=False)["diverged"].agg(n="count", diverged="sum").reset_index()


def percent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its errors (columns error, mean, low, high, as far as present) in percent."""
    names = [name for name in ("error", "mean", "low", "high") if name in frame]
    return frame.assign(**{name: 100 * frame[name] for name in names})
