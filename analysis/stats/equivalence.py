"""Equivalence tests: does a paired gap lie within a margin, beyond it, or is neither shown?

Two one-sided paired t tests (Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach
for assessing the equivalence of average bioavailability"; Lakens 2017). A gap is within the margin m if it is
significantly above −m and significantly below m; p is the larger of the two p values. It is beyond the margin if its
two-sided confidence interval lies entirely outside [−m, m]; p is twice the smaller p value of the two opposite
one-sided tests.

If the true gap is exactly the margin, one of the claims is made in more than 5 % of studies: within in up to 5 %,
beyond in up to 2.5 %. For every other gap, a false claim is made in at most 5 %.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtr

from analysis.stats.holm import holm

ALPHA = 0.05

WITHIN, BEYOND, OPEN = "within", "beyond", "open"


def margin_p_values(gaps: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Return the p values of both claims for each gap.

    Args:
        gaps: One row per comparison, columns mean, error (the standard error of the mean) and n (number of pairs).
        margin: Equivalence margin, in the unit of ``mean``.

    Returns:
        Columns p_within and p_beyond, with the index of ``gaps``; NaN where ``error`` is NaN.

    Reference:
        Schuirmann (1987); Lakens (2017), "Equivalence tests: a practical primer".

    Example:
        >>> margin_p_values(pd.DataFrame({"mean": [0.001], "error": [0.002], "n": [5]}), 0.01)  # doctest: +SKIP
    """
    df = gaps["n"] - 1
    above, below = (gaps["mean"] + margin) / gaps["error"], (gaps["mean"] - margin) / gaps["error"]
    beyond = 2 * np.minimum(stdtr(df, above), stdtr(df, -below))
    within = one_sided_p_values(gaps, margin).max(axis=1, skipna=False)
    return pd.DataFrame({"p_within": within, "p_beyond": np.minimum(beyond, 1.0)}, index=gaps.index)


def one_sided_p_values(gaps: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Return the p values of the two one-sided tests of each gap: that it is above −margin, and below margin.

    Arguments are those of ``margin_p_values``. Columns p_above and p_below, with the index of ``gaps``.
    """
    df = gaps["n"] - 1
    above = stdtr(df, -(gaps["mean"] + margin) / gaps["error"])
    below = stdtr(df, (gaps["mean"] - margin) / gaps["error"])
    return pd.DataFrame({"p_above": above, "p_below": below}, index=gaps.index)


def verdicts(p: pd.DataFrame) -> pd.DataFrame:
    """Decide between both claims for each comparison, with Holm's correction over comparisons.

    The two claims exclude each other, so each row counts as one test, of the claim with the smaller p.

    Args:
        p: One row per comparison, columns p_within and p_beyond.

    Returns:
        Columns verdict (``within``, ``beyond``, ``open``, or empty without a test) and p_verdict (Holm-corrected).
    """
    smaller = holm(p[["p_within", "p_beyond"]].min(axis=1))
    favoured = np.where(p["p_within"] <= p["p_beyond"], WITHIN, BEYOND)
    verdict = pd.Series(np.where(smaller <= ALPHA, favoured, OPEN), index=p.index, dtype="str")
    return pd.DataFrame({"verdict": verdict.where(smaller.notna(), ""), "p_verdict": smaller})
