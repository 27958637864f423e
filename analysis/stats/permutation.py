"""The sign-flip permutation test of paired gaps, which only assumes a symmetric distribution.

Fisher (1935), "The design of experiments", section 21: under the null hypothesis each seed's gap could equally have had
the opposite sign. p is the fraction of the 2ⁿ sign patterns whose mean is at least as far from 0 as the observed mean.
The test is exact up to 16 pairs; beyond, 2¹⁶ random patterns are used.
"""

import pandas as pd
from scipy import stats

EXACT = 16  # largest number of pairs for which all patterns are enumerated; beyond, 2 ** EXACT random ones

SEED = 0


def smallest_p(pairs: int) -> float:
    """Return the smallest two-sided p that the test can reach with this many pairs.

    With random patterns it is 2 / (patterns + 1) (Phipson and Smyth 2010).

    Example:
        >>> smallest_p(5)
        0.0625
    """
    return 2 / (2**EXACT + 1) if pairs > EXACT else min(1.0, 2.0 ** (1 - pairs))


def sign_flip_p(gaps: "pd.Series[float]") -> float:
    """Return the two-sided p value of the sign-flip test.

    Args:
        gaps: Paired gaps, one per seed.

    Reference:
        Fisher (1935), "The design of experiments", section 21.

    Example:
        >>> sign_flip_p(pd.Series([0.02, 0.01, 0.03]))
        0.25
    """
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
