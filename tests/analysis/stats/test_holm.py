"""Holm's correction matches statsmodels and controls the family-wise error rate."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.stats.holm import holm


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
