"""Significance tests match scipy, statsmodels and published results, and have their nominal coverage."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import ndtr
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from analysis.stats.effect_size import effect_interval, hedges_g
from analysis.stats.equivalence import margin_p_values, verdicts
from analysis.stats.holm import holm
from analysis.stats.interquartile import interquartile_interval, interquartile_mean
from analysis.stats.paired import PAIRED, paired_gaps_of, paired_tests, t_tests
from analysis.stats.permutation import sign_flip_p, smallest_p
from nowt.studies.planning.power import (
    equivalence_power,
    largest_deviation,
    mean_over_sample_deviations,
    power,
    required_seeds,
    smallest_ratio,
)

SEEDS = (3, 5, 10)

STUDIES = 20_000


def gaps_of(*cells: list[float]) -> pd.DataFrame:
    rows = [(f"cell {i}", "bp", seed, gap) for i, gaps in enumerate(cells) for seed, gap in enumerate(gaps)]
    return pd.DataFrame(rows, columns=["cell", "against", "seed", "gap"])


def many(seeds: int, true: float, studies: int = STUDIES) -> pd.DataFrame:
    """Return paired tests of simulated studies, each with one comparison, the given true gap and deviation 1."""
    drawn = np.random.default_rng(seeds).normal(true, 1, (studies, seeds))
    gaps = pd.DataFrame({"cell": np.repeat(np.arange(studies), seeds), "gap": drawn.ravel()})
    return t_tests(gaps, ["cell"])


def test_gaps_are_taken_seed_by_seed_to_the_cell_that_each_is_compared_with() -> None:
    final = pd.DataFrame(
        [("bp", 0, 0.1), ("bp", 1, 0.2), ("kp", 0, 0.15), ("kp", 1, 0.22), ("kp", 2, 0.9), ("fa", 1, 0.8)],
        columns=["cell", "seed", "error"],
    )
    gaps = paired_gaps_of(final, {"bp": "bp", "kp": "bp", "fa": "kp"}).set_index(["cell", "seed"])["gap"]
    assert gaps.round(9).to_dict() == {("kp", 0): 0.05, ("kp", 1): 0.02, ("fa", 1): 0.58}


def test_t_p_and_interval_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    cells = [list(rng.normal(0.01, 0.01, n)) for n in (3, 5, 8)]
    found = paired_tests(gaps_of(*cells))
    assert {name: str(kind) for name, kind in found.dtypes.items()} == PAIRED
    for row, gaps in zip(found.itertuples(), cells, strict=True):
        test = stats.ttest_1samp(gaps, 0)
        interval = test.confidence_interval(0.95)
        assert (row.t, row.p) == pytest.approx((test.statistic, test.pvalue))
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
        assert row.d_z == pytest.approx(np.mean(gaps) / np.std(gaps, ddof=1))
    assert list(found["verdict"]) == ["", "", ""]


def test_students_sleep_data_give_the_published_result() -> None:
    # Student (1908), Cushny & Peebles' data: t = 4.06 on 9 degrees of freedom, p = 0.0028, interval 0.70 to 2.46.
    more_sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    found = paired_tests(gaps_of(more_sleep)).iloc[0]
    assert (found["t"], found["p"]) == (pytest.approx(4.0621, abs=1e-4), pytest.approx(0.002833, abs=1e-6))
    assert (found["low"], found["high"]) == (pytest.approx(0.7001, abs=1e-4), pytest.approx(2.4599, abs=1e-4))


def test_fewer_than_three_pairs_and_gaps_that_never_differ_are_not_tested() -> None:
    found = paired_tests(gaps_of([0.1, 0.2], [0.3, 0.3, 0.3], [0.1, 0.2, 0.4]), margin=0.3)
    assert list(found["p"].isna()) == [True, True, False]
    assert list(found["verdict"]) == ["", "", "open"]
    assert found["p_holm"].iloc[2] == found["p"].iloc[2]  # what was not tested does not count


def test_holms_correction_is_that_of_statsmodels_and_leaves_out_what_was_not_tested() -> None:
    p = pd.Series([0.01, 0.04, math.nan, 0.03, 0.005, 0.9])
    found = holm(p)
    assert math.isnan(found[2])
    assert list(found.dropna()) == pytest.approx(list(multipletests(p.dropna(), method="holm")[1]))


def test_holm_makes_one_false_claim_in_twenty_studies_at_most() -> None:
    # Four rules that all equal backprop, whose own luck enters every gap: the gaps of one study go together.
    rng = np.random.default_rng(1)
    studies, rules, seeds = 5_000, 4, 5
    errors = rng.normal(0, 1, (studies, rules + 1, seeds))
    gaps = errors[:, 1:] - errors[:, :1]
    p = stats.ttest_1samp(gaps, 0, axis=2).pvalue
    first = np.sort(p, axis=1)[:, 0] * rules  # Holm's first step decides whether there is any claim at all
    assert holm(pd.Series(p[0])).min() == pytest.approx(min(first[0], 1))
    assert np.mean(first <= 0.05) <= 0.055
    assert np.mean(p.min(axis=1) <= 0.05) > 0.1  # without it there are more


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_interval_of_a_paired_gap_has_95_percent_coverage(seeds: int) -> None:
    found = many(seeds, true=2.0)
    covers = found["low"].lt(2.0) & found["high"].gt(2.0)
    assert covers.mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_interval_of_an_effect_size_has_95_percent_coverage(seeds: int) -> None:
    # d's interval holds the true effect where the share of smaller d under that effect lies in the middle 95 %.
    true, root = 0.8, math.sqrt(seeds)
    d = many(seeds, true, 800)["d_z"]
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
    effect = many(5, true=1.0)["d_z"].map(lambda d: hedges_g(d, 5))
    assert effect.mean() == pytest.approx(1.0, abs=0.02)


def test_a_sign_flip_test_tries_every_pattern() -> None:
    gaps = pd.Series([0.3, -0.1, 0.4, 0.2])
    totals = [sum(sign * gap for sign, gap in zip(signs, gaps, strict=True)) for signs in product((1, -1), repeat=4)]
    expected = sum(abs(total) >= abs(gaps.sum()) - 1e-12 for total in totals) / 16
    assert sign_flip_p(gaps) == pytest.approx(expected)
    assert sign_flip_p(pd.Series([0.1, 0.2, 0.3])) == smallest_p(3) == 0.25
    assert sign_flip_p(pd.Series([0.0, 0.0, 0.0])) == 1
    assert sign_flip_p(pd.Series([0.1] * 20)) == smallest_p(20)  # by chance, beyond what can be tried


def test_equivalence_is_the_two_one_sided_tests_of_statsmodels() -> None:
    gaps = list(np.random.default_rng(2).normal(0.2, 0.5, 6))
    summary = t_tests(gaps_of(gaps), ["cell"])
    found = margin_p_values(summary, 1.0).iloc[0]
    assert found["p_within"] == pytest.approx(DescrStatsW(gaps).ttost_mean(-1.0, 1.0)[0])
    # Beyond: the 95 % interval lies outside the margin exactly where p is below 0.05.
    far = t_tests(gaps_of([gap + 1.4 for gap in gaps]), ["cell"])
    for margin in np.linspace(0.1, 2.0, 30):
        assert (margin_p_values(far, margin)["p_beyond"].iloc[0] < 0.05) == (far["low"].iloc[0] > margin)


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_gap_at_the_margin_is_called_equal_in_one_study_of_twenty_at_most(seeds: int) -> None:
    false = {true: (margin_p_values(many(seeds, true), 1.0)["p_within"] <= 0.05).mean() for true in (1.0, -1.0, 1.5)}
    assert max(false.values()) <= 0.055
    wide = margin_p_values(many(seeds, 9.0), 9.0)[
        "p_within"
    ]  # a margin that the scatter does not fill: the rate is met
    assert (wide <= 0.05).mean() == pytest.approx(0.05, abs=0.006)
    assert (margin_p_values(many(seeds, 1.0), 1.0)["p_beyond"] <= 0.05).mean() <= 0.055


def test_verdicts_over_four_rules_are_wrong_in_one_study_of_twenty_at_most() -> None:
    # The worst case: every true gap lies a hair beyond the margin, so that "within" is false of each.
    margin, rules, seeds, studies = 9.0, 4, 5, 4_000
    gaps = np.random.default_rng(3).normal(margin + 1e-6, 1.0, (studies, rules, seeds)).reshape(-1, seeds)
    summary = pd.DataFrame({"mean": gaps.mean(1), "error": gaps.std(1, ddof=1) / seeds**0.5, "n": seeds})
    p = margin_p_values(summary, margin)
    smallest = p.min(axis=1).to_numpy().reshape(studies, rules)
    place = smallest.argsort(axis=1).argsort(axis=1)
    corrected = np.maximum.accumulate(np.sort(smallest, axis=1) * np.arange(rules, 0, -1), axis=1)
    claimed = np.take_along_axis(corrected, place, axis=1) <= 0.05
    within = claimed & (p["p_within"] < p["p_beyond"]).to_numpy().reshape(studies, rules)
    for study in range(20):  # what was counted is what verdicts says
        found = verdicts(p.iloc[study * rules : (study + 1) * rules])["verdict"]
        assert list(found == "within") == list(within[study])
    assert within.any(axis=1).mean() <= 0.055


def test_verdicts_say_within_beyond_or_open() -> None:
    found = paired_tests(gaps_of([0.1, 0.0, -0.1, 0.05], [5.1, 5.0, 4.9, 5.0], [0.1, 2.0, -1.0, 0.9]), margin=1.0)
    assert list(found["verdict"]) == ["within", "beyond", "open"]
    assert (found["p_verdict"] <= 0.05).tolist() == [True, True, False]


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
    found = (margin_p_values(many(seeds, 0.0), margin)["p_within"] <= 0.05).mean()
    assert equivalence_power(margin, seeds) == pytest.approx(found, abs=0.012)


def test_too_few_seeds_find_nothing_and_no_gap_takes_more_than_there_are() -> None:
    assert power(1.0, 1) == equivalence_power(1.0, 1) == 0
    assert required_seeds(0.0) is None
    assert largest_deviation(1.0, 3) == pytest.approx(math.sqrt(2 / stats.chi2.ppf(0.1, 2)))
