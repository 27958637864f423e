"""Tuning curves: the error that each rule reaches for a given search budget.

If trials are independent draws that all run to their end, this is the tuning curve of Lourie, Cho and He (2023), "Show
your work with confidence": the median of the best of n draws, with a nonparametric 95 % confidence band that holds for
all n simultaneously. Ties, for example of diverged trials at chance, make the band conservative. So do quasi-random
draws, which are more even than independent ones: with scrambled Sobol points in 13 dimensions and 12 or 64 draws, the
band held in 99 % of searches.

For a budget in presentations, FLOPs or seconds, n draws are assumed to cost n times the mean cost of the cell's trials.

Otherwise, if proposals depend on earlier trials or trials are stopped early, the curve is the best error so far,
without a band.
"""

import warnings
from functools import lru_cache, partial

import numpy as np
import pandas as pd
from opda.nonparametric import EmpiricalDistribution

from analysis.frames.schema import enforce_schema
from analysis.frames.study import counted_runs
from analysis.frames.trials import Trials

CONFIDENCE = 0.95

TUNING = {
    "cell": "str",
    "trials": "int64",
    "spent": "float64",  # cost of these trials, in the unit of the budget
    "error": "float64",  # fraction, on the validation images
    "low": "float64",  # lower end of the band; NaN without one
    "high": "float64",
}


def tuning_curves(trials: Trials) -> pd.DataFrame:
    """Compute the tuning curve of each cell.

    Args:
        trials: The trials of a search.

    Returns:
        One row per cell and number of trials, columns ``TUNING``; none for a cell without counted trials.

    Reference:
        Lourie, Cho and He (2023), "Show your work with confidence: confidence bands for tuning curves".

    Example:
        >>> tuning_curves(trials).query("trials == 16")[["cell", "error", "low", "high"]]  # doctest: +SKIP
    """
    curve = partial(_median_of_best if trials.independent else _best_so_far, unit=trials.plan.unit)
    known = trials.frame[trials.frame["cell"].isin(trials.counted["cell"])]
    parts = [curve(cell).assign(cell=name) for name, cell in known.groupby("cell", sort=False)]
    return enforce_schema(pd.concat(parts, ignore_index=True), TUNING)


def _median_of_best(cell: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Return the curve of one cell, for up to as many draws as it has trials."""
    counted = counted_runs(cell)
    errors = counted["error"].to_numpy()
    draws = np.arange(1, len(errors) + 1)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Duplicates detected", RuntimeWarning
        )  # ties are conservative, see the module docstring
        least, point, most = EmpiricalDistribution.confidence_bands(
            errors, CONFIDENCE, a=0.0, b=1.0, method="ld_equal_tailed", generator=_generator(len(errors)), n_jobs=1
        )
    # A larger share of draws below an error means a smaller best of n, so ``most`` gives the lower end of the band.
    curves = {"error": point, "low": most, "high": least}
    best = {name: shares.quantile_tuning_curve(draws, q=0.5, minimize=True) for name, shares in curves.items()}
    return pd.DataFrame({"trials": draws, "spent": draws * _costs(counted, unit).mean(), **best})


def _costs(trials: pd.DataFrame, unit: str) -> "pd.Series[float]":
    return pd.Series(1.0, trials.index) if unit == "trials" else trials[unit]


@lru_cache
def _generator(draws: int) -> np.random.Generator:
    """Return one generator per number of draws: opda simulates a band once per generator and caches it."""
    return np.random.default_rng(draws)


def _best_so_far(cell: pd.DataFrame, unit: str) -> pd.DataFrame:
    """Return the best error so far of one cell; a trial stopped early costs budget but is never the best."""
    spent = cell[cell["state"].isin(["finished", "diverged", "stopped"])]
    best = spent["error"].where(spent["state"] != "stopped").cummin().ffill()
    curve = pd.DataFrame({"trials": range(1, len(spent) + 1), "spent": _costs(spent, unit).cumsum().to_numpy()})
    return curve.assign(error=best.to_numpy(), low=np.nan, high=np.nan).dropna(subset="error")
