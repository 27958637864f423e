"""The interquartile mean, which is robust to a few outlying seeds, and its stratified bootstrap interval.

Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice": the mean of the middle
half of all values, with seeds resampled within each stratum (here: a model). The bootstrap distribution is too narrow
by a factor √((n − 1)/n), where n is the size of the smallest stratum (Hesterberg 2015, "What teachers should know about
the bootstrap", section 3.2). The percentiles are widened accordingly: with 8 seeds the coverage is 94 to 95 % instead
of 93 %. With fewer than 8 seeds there is no interval.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import trim_mean

CONFIDENCE = 0.95

FEWEST_FOR_IQM = 8  # in each stratum

DRAWS = 4_000

SEED = 0


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of ``values`` without the lowest and the highest quarter.

    Reference:
        Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice".

    Example:
        >>> interquartile_mean([0, 1, 2, 100])
        1.5
    """
    return float(trim_mean(np.asarray(values), 0.25))


def interquartile_interval(strata: Sequence[Sequence[float]], draws: int = DRAWS) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the interquartile mean over all strata.

    Args:
        strata: Values by stratum, for example the gaps by model.
        draws: Number of bootstrap samples.

    Returns:
        Lower and upper end, in the unit of the values; NaN if a stratum has fewer than 8 values.

    Reference:
        Agarwal et al. (2021); Hesterberg (2015).

    Example:
        >>> low, high = interquartile_interval([[0.1, 0.3, 0.2, 0.2, 0.4, 0.1, 0.3, 0.2]])
    """
    fewest = min(map(len, strata), default=0)
    if fewest < FEWEST_FOR_IQM:
        return math.nan, math.nan
    tail = float(ndtr(math.sqrt(fewest / (fewest - 1)) * ndtri((1 - CONFIDENCE) / 2)))
    low, high = np.quantile(_drawn(strata, draws), [tail, 1 - tail])
    return float(low), float(high)


def _drawn(strata: Sequence[Sequence[float]], draws: int) -> Any:
    """Return the interquartile means of ``draws`` bootstrap samples, resampled within each stratum."""
    chance = np.random.default_rng(SEED)
    drawn = [np.asarray(s)[chance.integers(len(s), size=(draws, len(s)))] for s in strata]
    return trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
