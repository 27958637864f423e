"""The exact sign-flip permutation test of paired gaps, which supposes no distribution but a symmetric one.

Fisher (1935), "The design of experiments", 21: if the rule makes no difference, each seed's gap could as well have had
the other sign. p is the share of the 2ⁿ sign patterns whose mean is as far from 0 as the one observed.
"""

import pandas as pd
from scipy import stats

EXACT = 16  # pairs up to which every pattern is tried; beyond, 2 ** EXACT of them by chance
SEED = 0


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
