"""The interquartile mean, which a few bad seeds cannot pull, and its interval by a stratified bootstrap.

Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice": the mean of the middle
half of all values, with seeds drawn anew within each stratum (here: a model). A bootstrap's spread is too narrow by
√((n − 1)/n), n the smallest stratum (Hesterberg 2015, "What teachers should know about the bootstrap", 3.2), so its
percentiles are taken that much further out: of 8 seeds 94 to 95 % cover, instead of 93. Below eight there is none.
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
    """The mean without the lowest and the highest quarter of ``values``."""
    return float(trim_mean(np.asarray(values), 0.25))


def interquartile_interval(strata: Sequence[Sequence[float]], draws: int = DRAWS) -> tuple[float, float]:
    """The interval of the interquartile mean of all ``strata`` together; NaN where one has fewer than eight values."""
    fewest = min(map(len, strata), default=0)
    if fewest < FEWEST_FOR_IQM:
        return math.nan, math.nan
    tail = float(ndtr(math.sqrt(fewest / (fewest - 1)) * ndtri((1 - CONFIDENCE) / 2)))
    low, high = np.quantile(_drawn(strata, draws), [tail, 1 - tail])
    return float(low), float(high)


def _drawn(strata: Sequence[Sequence[float]], draws: int) -> Any:
    """The interquartile means of so many studies, each with seeds drawn with replacement within each stratum."""
    chance = np.random.default_rng(SEED)
    drawn = [np.asarray(s)[chance.integers(len(s), size=(draws, len(s)))] for s in strata]
    return trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
