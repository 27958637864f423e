"""Effect sizes match published tables, and their intervals have their nominal coverage."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from analysis.stats.effect_size import effect_interval, hedges_g
from nowt.studies.planning.power import (
    mean_over_sample_deviations,
)
from tests.support.simulated_gaps import SEEDS, simulated_tests


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_interval_of_an_effect_size_has_95_percent_coverage(seeds: int) -> None:
    # d's interval holds the true effect where the share of smaller d under that effect lies in the middle 95 %.
    true, root = 0.8, math.sqrt(seeds)
    d = simulated_tests(seeds, true, 800)["d_z"]
    below = np.array(
        [mean_over_sample_deviations(seeds, lambda seen, one=one: ndtr(root * (one * seen - true))) for one in d]
    )
    assert np.mean((below > 0.025) & (below < 0.975)) == pytest.approx(0.95, abs=0.015)
    low, high = effect_interval(float(d[0]), seeds)
    assert (low <= true <= high) == (0.025 < below[0] < 0.975)


def test_the_effects_interval_is_that_of_the_noncentral_t() -> None:
    for d, pairs in ((0.5, 3), (-1.2, 5), (0.3, 10)):
        low, high = (root * math.sqrt(pairs) for root in effect_interval(d, pairs))
        t = d * math.sqrt(pairs)
        assert stats.nct.cdf(t, pairs - 1, low) == pytest.approx(0.975, abs=1e-6)
        assert stats.nct.cdf(t, pairs - 1, high) == pytest.approx(0.025, abs=1e-6)
    assert all(map(math.isnan, effect_interval(math.inf, 3)))


def test_hedges_takes_out_what_few_seeds_add() -> None:
    # Hedges (1981), table 1: c(m) = 0.5642 at m = 2, 0.7979 at 4, 0.9139 at 9 degrees of freedom.
    assert [hedges_g(1.0, pairs) for pairs in (3, 5, 10)] == pytest.approx([0.5642, 0.7979, 0.9139], abs=1e-4)
    effect = simulated_tests(5, true=1.0)["d_z"].map(lambda d: hedges_g(d, 5))
    assert effect.mean() == pytest.approx(1.0, abs=0.02)
