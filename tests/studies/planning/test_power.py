"""Power and numbers of seeds match statsmodels, published tables and simulated studies."""

import math

import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.stats.equivalence import margin_p_values
from nowt.studies.planning.power import (
    equivalence_power,
    largest_deviation,
    power,
    required_seeds,
    smallest_ratio,
)
from tests.support.simulated_gaps import SEEDS, simulated_tests


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_power_and_seeds_are_those_of_statsmodels(ratio: float) -> None:
    for seeds in SEEDS:
        assert power(ratio, seeds) == pytest.approx(TTestPower().power(ratio, seeds, 0.05), abs=1e-4)
    needed = TTestPower().solve_power(effect_size=ratio, alpha=0.05, power=0.8)
    assert required_seeds(ratio) == math.ceil(needed)
    assert power(smallest_ratio(7), 7) == pytest.approx(0.8)


def test_cohens_tables_of_sample_sizes() -> None:
    # Cohen (1988), two-sided α 0.05 and power 0.80 for paired means: d = 0.2, 0.5, 0.8 take 199, 34 and 15 pairs.
    assert [required_seeds(ratio) for ratio in (0.2, 0.5, 0.8)] == [199, 34, 15]


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_power_of_the_equivalence_test_is_what_simulated_studies_find(seeds: int) -> None:
    margin = {3: 3.0, 5: 1.5, 10: 1.0}[seeds]
    found = (margin_p_values(simulated_tests(seeds, 0.0), margin)["p_within"] <= 0.05).mean()
    assert equivalence_power(margin, seeds) == pytest.approx(found, abs=0.012)


def test_the_power_of_the_equivalence_test_at_a_true_gap_is_what_simulated_studies_find() -> None:
    found = (margin_p_values(simulated_tests(5, 0.5), 1.5)["p_within"] <= 0.05).mean()
    assert equivalence_power(1.5, 5, true_share=1 / 3) == pytest.approx(found, abs=0.012)
    found = (margin_p_values(simulated_tests(5, 1.5), 1.5)["p_within"] <= 0.05).mean()
    assert equivalence_power(1.5, 5, true_share=1.0) == pytest.approx(found, abs=0.012)  # false claims, at most α


def test_too_few_seeds_find_nothing_and_no_gap_takes_more_than_there_are() -> None:
    assert power(1.0, 1) == equivalence_power(1.0, 1) == 0
    assert required_seeds(0.0) is None
    assert largest_deviation(1.0, 3) == pytest.approx(math.sqrt(2 / stats.chi2.ppf(0.1, 2)))
