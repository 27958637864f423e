"""Statistics over seeds: means with 95 % t intervals, and gaps paired by seed.

Only finished and diverged runs count. The error of a diverged run is chance, 1 - 1/classes, from the epoch in which it
diverged to its last configured epoch. Fewer than three seeds have a mean but no interval. Errors are fractions from 0
to 1.
"""

from collections.abc import Mapping

import pandas as pd
from scipy.special import stdtrit

from analysis.frames.study import Frames, counted_runs, rows
from nowt.store.records import chance_error

CONFIDENCE = 0.95

FEWEST_SEEDS = 3  # for an interval

ROUNDING = 1e-12  # a smaller standard deviation is rounding: the values are equal


def scored_split(frames: Frames) -> str:
    """Return the split of final errors: ``test``, or ``val`` if a counted run has no test error.

    With ``test="last"``, a run that diverged has none either, and counts with chance error under both.
    """
    scored = frames.epochs.groupby("run")["test_error"].count()
    runs = counted_runs(frames.runs)
    late = (runs["state"] == "diverged") & runs["cell"].isin(_scored_last(frames))
    return "test" if (scored.reindex(runs.loc[~late, "run"]).fillna(1) > 0).all() else "val"


def curve_split(frames: Frames) -> str:
    """Return the split of errors over epochs: that of ``scored_split``, or ``val`` if a counted run scored its test
    images only after the last epoch."""
    late = counted_runs(frames.runs)["cell"].isin(_scored_last(frames))
    return "val" if late.any() else scored_split(frames)


def _scored_last(frames: Frames) -> list[str]:
    """Return the cells whose test images are scored only after the last epoch."""
    return [cell for cell, config in frames.study.cells.items() if config.get("test") == "last"]


def error_curves(frames: Frames, split: str) -> pd.DataFrame:
    """Return the error of each counted run by epoch.

    Args:
        frames: The study's frames.
        split: ``test`` or ``val``.

    Returns:
        One row per counted run and epoch: cell, rule, run, seed, epoch, error (fraction; chance once a run diverged).

    Example:
        >>> curves = error_curves(frames, "test")  # doctest: +SKIP
        >>> mean_interval(curves, ["cell", "epoch"], "error")  # doctest: +SKIP
    """
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
    """Return the rows of ``error_curves`` up to the last epoch that all runs of their cell have reached.

    A mean over a changing set of seeds would not be one curve.
    """
    ends = curves.groupby(["cell", "run"])["epoch"].max().groupby("cell").min()
    return curves[curves["epoch"] <= curves["cell"].map(ends)]


def final_errors(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``error_curves`` at each run's last epoch, which is not necessarily its best."""
    return curves.loc[curves.groupby(["cell", "run"], sort=False)["epoch"].idxmax()]


def mean_interval(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return the mean of a column in each group, with its 95 % t interval.

    Args:
        frame: One row per run.
        by: Columns to group by.
        value: Column to average.

    Returns:
        One row per group: the columns ``by``, n, mean, low, high. The interval is NaN for fewer than three values, and
            if all values are equal.

    Reference:
        Student (1908), "The probable error of a mean".

    Example:
        >>> mean_interval(final_errors(error_curves(frames, "test")), ["cell"], "error")  # doctest: +SKIP
    """
    groups = frame.groupby(by, sort=False)[value].agg(n="count", mean="mean", deviation="std").reset_index()
    n = groups["n"].where((groups["n"] >= FEWEST_SEEDS) & (groups["deviation"] > ROUNDING))
    half = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * groups["deviation"] / n**0.5
    return groups.drop(columns="deviation").assign(low=groups["mean"] - half, high=groups["mean"] + half)


def paired_gaps_of(final: pd.DataFrame, against: Mapping[str, str]) -> pd.DataFrame:
    """Pair the final errors of cells by seed.

    Args:
        final: One row per run, columns cell, seed and error.
        against: For each cell, the cell that it is compared with.

    Returns:
        One row per pair: cell, against, seed, gap (in the unit of the error).
    """
    others = final[["cell", "seed", "error"]].assign(against=final["cell"].map(against)).dropna(subset="against")
    base = final[["cell", "seed", "error"]].rename(columns={"cell": "against", "error": "base"})
    pairs = others[others["cell"] != others["against"]].merge(base, on=["against", "seed"])
    return pairs.assign(gap=pairs["error"] - pairs["base"])[["cell", "against", "seed", "gap"]]


def paired_gaps(final: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return the error of each cell minus that of the reference, paired by seed.

    Args:
        final: One row per run, columns cell, seed and error.
        reference: The cell to compare with.

    Returns:
        One row per other cell: cell, n (pairs), mean, low, high (95 % t interval), in the unit of the error.
    """
    pairs = paired_gaps_of(final, dict.fromkeys([*final["cell"], reference], reference))
    return mean_interval(pairs, ["cell"], "gap")


def partial_gaps(final: pd.DataFrame, against: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the shared seeds of each cell whose gap is over fewer seeds than its error or that of the other cell.

    Args:
        final: One row per run, columns cell and seed.
        against: For each cell, the cell that it is compared with.

    Returns:
        The sorted seeds that both cells have, by cell; only where one of the cells has more.
    """
    seeds = {cell: set(group) for cell, group in final.groupby("cell", sort=False)["seed"]}
    pairs = {cell: (seeds[cell], seeds.get(other, set())) for cell, other in against.items() if cell in seeds}
    return {cell: sorted(mine & its) for cell, (mine, its) in pairs.items() if mine != its and against[cell] != cell}


def diverged_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Return, for each cell, the number of counted runs ``n`` and how many of them diverged."""
    counted = counted_runs(runs).assign(diverged=lambda frame: frame["state"] == "diverged")
    return counted.groupby("cell", sort=False)["diverged"].agg(n="count", diverged="sum").reset_index()


def chance_errors(runs: pd.DataFrame) -> dict[str, float]:
    """Return the error of guessing, 1 - 1/classes, of each cell whose number of classes is known."""
    known = counted_runs(runs).dropna(subset="classes").drop_duplicates("cell")
    return {row.cell: chance_error(int(row.classes)) for row in rows(known)}


def percent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its errors (columns error, mean, low, high, as far as present) in percent."""
    names = [name for name in ("error", "mean", "low", "high") if name in frame]
    return frame.assign(**{name: 100 * frame[name] for name in names})
