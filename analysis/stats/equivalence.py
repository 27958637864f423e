"""Equivalence: is a paired gap shown to lie within a margin, shown to lie beyond it, or neither?

Two one-sided paired t tests (Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach
for assessing the equivalence of average bioavailability"; Lakens 2017): within the margin m if the gap is shown to be
above −m and shown to be below m, p is the larger of the two. Beyond it if the two-sided interval lies outside [−m, m]
altogether: p is twice the smaller of the two one-sided p values of the other direction.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtr

from analysis.stats.holm import holm

ALPHA = 0.05

WITHIN, BEYOND, OPEN = "within", "beyond", "open"


def margin_p(gaps: pd.DataFrame, margin: float) -> pd.DataFrame:
    """``p_within`` and ``p_beyond`` for each row of ``gaps`` (mean, error: its standard error, n); NaN where error is.

    ``margin`` is in the units of the mean.
    """
    df = gaps["n"] - 1
    above, below = (gaps["mean"] + margin) / gaps["error"], (gaps["mean"] - margin) / gaps["error"]
    within = np.maximum(stdtr(df, -above), stdtr(df, below))
    beyond = 2 * np.minimum(stdtr(df, above), stdtr(df, -below))
    return pd.DataFrame({"p_within": within, "p_beyond": np.minimum(beyond, 1.0)}, index=gaps.index)


def verdicts(p: pd.DataFrame) -> pd.DataFrame:
    """``verdict`` and its ``p_verdict``, Holm-corrected over the rows of ``p`` (p_within, p_beyond).

    Of a row's two claims one is false whatever the truth, so each row is one test: of the claim that its gap favours.
    Rows that were not tested have no verdict.
    """
    smaller = holm(p[["p_within", "p_beyond"]].min(axis=1))
    favoured = np.where(p["p_within"] <= p["p_beyond"], WITHIN, BEYOND)
    verdict = pd.Series(np.where(smaller <= ALPHA, favoured, OPEN), index=p.index, dtype="str")
    return pd.DataFrame({"verdict": verdict.where(smaller.notna(), ""), "p_verdict": smaller})
