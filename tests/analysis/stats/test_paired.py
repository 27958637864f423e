"""Paired tests match scipy and published results, and their intervals have their nominal coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.stats.paired import PAIRED, paired_tests
from analysis.stats.seeds import paired_gaps_of
from tests.support.simulated_gaps import SEEDS, gaps_of, simulated_tests


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


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_interval_of_a_paired_gap_has_95_percent_coverage(seeds: int) -> None:
    found = simulated_tests(seeds, true=2.0)
    covers = found["low"].lt(2.0) & found["high"].gt(2.0)
    assert covers.mean() == pytest.approx(0.95, abs=0.015)
