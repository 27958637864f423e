"""Equivalence tests match statsmodels and keep their error rates."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from analysis.stats.equivalence import margin_p_values, verdicts
from analysis.stats.paired import paired_tests, t_tests
from tests.support.simulated_gaps import SEEDS, gaps_of, simulated_tests


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
    false = {
        true: (margin_p_values(simulated_tests(seeds, true), 1.0)["p_within"] <= 0.05).mean()
        for true in (1.0, -1.0, 1.5)
    }
    assert max(false.values()) <= 0.055
    wide = margin_p_values(simulated_tests(seeds, 9.0), 9.0)[
        "p_within"
    ]  # a margin that the scatter does not fill: the rate is met
    assert (wide <= 0.05).mean() == pytest.approx(0.05, abs=0.006)
    assert (margin_p_values(simulated_tests(seeds, 1.0), 1.0)["p_beyond"] <= 0.05).mean() <= 0.055


def test_at_exactly_the_margin_one_of_both_claims_is_made_more_often_than_in_one_study_of_twenty() -> None:
    """The docstring and docs/adding-a-study.md state these rates."""
    p = margin_p_values(simulated_tests(5, 9.0), 9.0)
    assert (p["p_within"] <= 0.05).mean() == pytest.approx(0.05, abs=0.006)
    assert (p["p_beyond"] <= 0.05).mean() == pytest.approx(0.025, abs=0.005)
    assert (p.min(axis=1) <= 0.05).mean() == pytest.approx(0.075, abs=0.008)


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
