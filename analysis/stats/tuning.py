"""Error against budget: how far tuning brings each rule, and with how many trials.

Where the draws are independent and every trial runs to its end: the tuning curve of Lourie, Cho and He (2023), "Show
your work with confidence", the median of the best of n draws, with their nonparametric 95 % band, simultaneous over
n. Ties, as among diverged trials at chance, only widen the coverage. So do quasi-random draws, which are more even
than independent ones (scrambled Sobol points in 13 dimensions, 12 and 64 draws: the band held in 99 % of searches).

A budget in presentations, FLOPs or seconds is spent at the mean cost of the cell's trials: n draws cost n times that.

Elsewhere, since proposals learn from earlier trials or the worse ones are cut short: the best error so far, no band.
"""

import warnings
from functools import lru_cache, partial

import numpy as np
import pandas as pd
from opda.nonparametric import EmpiricalDistribution

from analysis.frames.schema import checked
from analysis.frames.study import counted_runs
from analysis.frames.trials import Trials

CONFIDENCE = 0.95

TUNING = {
    "cell": "str",
    "trials": "int64",
    "spent": "float64",  # by them, in the unit of the search's budget
    "error": "float64",  # share, on the validation pictures
    "low": "float64",  # of the band; NaN where there is none
    "high": "float64",
}


def tuning_curves(trials: Trials) -> pd.DataFrame:
    """One row a cell and number of trials, columns TUNING; a cell without a counted trial has none."""
    curve = partial(_median_of_best if trials.independent else _best_so_far, unit=trials.plan.unit)
    known = trials.frame[trials.frame["cell"].isin(trials.counted["cell"])]
    parts = [curve(cell).assign(cell=name) for name, cell in known.groupby("cell", sort=False)]
    return checked(pd.concat(parts, ignore_index=True), TUNING)


def _median_of_best(cell: pd.DataFrame, unit: str) -> pd.DataFrame:
    """From one cell's trials, up to as many draws as were made."""
    counted = counted_runs(cell)
    errors = counted["error"].to_numpy()
    draws = np.arange(1, len(errors) + 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicates detected", RuntimeWarning)  # ties do no harm, see above
        least, point, most = EmpiricalDistribution.confidence_bands(
            errors, CONFIDENCE, a=0.0, b=1.0, method="ld_equal_tailed", generator=_generator(len(errors)), n_jobs=1
        )
    # The more draws fall below an error, the smaller is the best of n: ``most`` gives the band's lower end.
    curves = {"error": point, "low": most, "high": least}
    best = {name: shares.quantile_tuning_curve(draws, q=0.5, minimize=True) for name, shares in curves.items()}
    return pd.DataFrame({"trials": draws, "spent": draws * _costs(counted, unit).mean(), **best})


def _costs(trials: pd.DataFrame, unit: str) -> "pd.Series[float]":
    return pd.Series(1.0, trials.index) if unit == "trials" else trials[unit]


@lru_cache
def _generator(draws: int) -> np.random.Generator:
    """opda finds a band by simulation and keeps it by generator: with one for each number of draws, it does so once."""
    return np.random.default_rng(draws)


def _best_so_far(cell: pd.DataFrame, unit: str) -> pd.DataFrame:
    """From one cell's trials in their order; one that was stopped early is spent and is not the best."""
    spent = cell[cell["state"].isin(["finished", "diverged", "stopped"])]
    best = spent["error"].where(spent["state"] != "stopped").cummin().ffill()
    curve = pd.DataFrame({"trials": range(1, len(spent) + 1), "spent": _costs(spent, unit).cumsum().to_numpy()})
    return curve.assign(error=best.to_numpy(), low=np.nan, high=np.nan).dropna(subset="error")
