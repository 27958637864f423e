"""The interquartile mean, and the coverage of its interval."""

import math

import numpy as np
import pytest

from analysis.stats.interquartile import interquartile_interval, interquartile_mean


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    assert interquartile_mean([100, 1, 2, 3, 4, 5, 6, -50]) == 3.5
    assert all(map(math.isnan, interquartile_interval([[1.0] * 8, [2.0] * 7])))


@pytest.mark.parametrize("strata", [1, 2])
def test_the_interquartile_means_interval_covers_19_times_in_20_from_eight_seeds_on(strata: int) -> None:
    rng = np.random.default_rng(strata)
    hits = 0
    for _ in range(500):
        low, high = interquartile_interval(list(rng.normal(0, 1, (strata, 8))), draws=400)
        hits += low <= 0 <= high
    assert hits / 500 == pytest.approx(0.95, abs=0.02)
