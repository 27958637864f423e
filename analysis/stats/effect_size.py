"""The effect size of paired gaps: Cohen's d_z, Hedges' bias correction g_z, and the confidence interval.

d_z is the mean of the paired gaps divided by their standard deviation (Cohen 1988, section 2.3.5). It is biased upward
for small samples; Hedges (1981), "Distribution theory for Glass's estimator of effect size", corrects this bias. The
interval comes from the noncentral t distribution (Steiger and Fouladi 1997) and is exact for normally distributed gaps.
"""

import math

from scipy.optimize import brentq
from scipy.special import gammaln, ndtr

from nowt.studies.planning.power import mean_over_sample_deviations

CONFIDENCE = 0.95


def hedges_g(d: float, pairs: int) -> float:
    """Return Hedges' g_z for an observed d_z.

    g_z = d_z Γ(f/2) / (√(f/2) Γ((f − 1)/2)) with f = pairs − 1 degrees of freedom.

    Args:
        d: Observed d_z.
        pairs: Number of paired seeds, at least 3.

    Returns:
        The corrected effect size.

    Reference:
        Hedges (1981), "Distribution theory for Glass's estimator of effect size and related estimators".

    Example:
        >>> round(hedges_g(1.0, 5), 3)
        0.798
    """
    f = pairs - 1
    return d * math.exp(gammaln(f / 2) - gammaln((f - 1) / 2)) / math.sqrt(f / 2)


def effect_interval(d: float, pairs: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of the true d_z.

    Args:
        d: Observed d_z.
        pairs: Number of paired seeds, at least 3.

    Returns:
        Lower and upper end; NaN if ``d`` is infinite or undefined because all gaps are equal.

    Reference:
        Steiger and Fouladi (1997), "Noncentrality interval estimation and the evaluation of statistical models".

    Example:
        >>> low, high = effect_interval(1.0, 5)
    """
    if not math.isfinite(d):
        return math.nan, math.nan
    low, high = ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2)
    return _true_effect(d, pairs, low), _true_effect(d, pairs, high)


def _true_effect(d: float, pairs: int, share: float) -> float:
    """Return the true d_z for which a fraction ``share`` of all studies observe a smaller value than ``d``."""
    root, widest = math.sqrt(pairs), 5 * abs(d) + 10

    def above(true: float) -> float:
        return mean_over_sample_deviations(pairs, lambda seen: ndtr(root * (d * seen - true))) - share

    return float(brentq(above, -widest, widest))
