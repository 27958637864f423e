"""The sign-flip permutation test of paired gaps, which supposes no distribution but a symmetric one.

Fisher (1935), "The design of experiments", 21: if the rule makes no difference, each seed's gap could as well have had
the other sign. p is the share of the 2ⁿ sign patterns whose mean is as far from 0 as the one observed: exact up to 16
pairs, from then on by 2¹⁶ patterns drawn by chance.
"""

import pandas as pd
from scipy import stats

EXACT = 16  # pairs up to which every pattern is tried; beyond, 2 ** EXACT of them by chance

SEED = 0


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p that the test can reach with so many pairs: of patterns drawn by chance (Phipson and
    Smyth 2010) twice one in all and the observed one."""
    return 2 / (2**EXACT + 1) if pairs > EXACT else min(1.0, 2.0 ** (1 - pairs))


def sign_flip_p(gaps: "pd.Series[float]") -> float:
    """The two-sided p."""
    if len(gaps) < 2 or (gaps == 0).all():
        return 1.0
    test = stats.permutation_test(
        (gaps.to_numpy(),),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        n_resamples=2**EXACT,
        vectorized=True,
        rng=SEED,
    )
    return float(test.pvalue)
