"""The sign-flip test tries every pattern of signs."""

from itertools import product

import pandas as pd
import pytest

from analysis.stats.permutation import sign_flip_p, smallest_p


def test_a_sign_flip_test_tries_every_pattern() -> None:
    gaps = pd.Series([0.3, -0.1, 0.4, 0.2])
    totals = [sum(sign * gap for sign, gap in zip(signs, gaps, strict=True)) for signs in product((1, -1), repeat=4)]
    expected = sum(abs(total) >= abs(gaps.sum()) - 1e-12 for total in totals) / 16
    assert sign_flip_p(gaps) == pytest.approx(expected)
    assert sign_flip_p(pd.Series([0.1, 0.2, 0.3])) == smallest_p(3) == 0.25
    assert sign_flip_p(pd.Series([0.0, 0.0, 0.0])) == 1
    assert sign_flip_p(pd.Series([0.1] * 20)) == smallest_p(20)  # by chance, beyond what can be tried
