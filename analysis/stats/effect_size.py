"""How large a gap is beside its own scatter over seeds: Cohen's d_z, Hedges' correction of it, and its interval.

d_z is the mean of the paired gaps over their standard deviation (Cohen 1988, 2.3.5). From few seeds it is too large,
and Hedges (1981), "Distribution theory for Glass's estimator of effect size", takes that bias out. The interval is
that of the noncentral t distribution (Steiger & Fouladi 1997): exact where gaps are normal.
"""

import math

from scipy.optimize import brentq
from scipy.special import gammaln, ndtr

from nowt.studies.planning.power import mean_over_seen

CONFIDENCE = 0.95


def hedges(d: float, pairs: int) -> float:
    """g_z: d_z times Γ(f/2) / (√(f/2) Γ((f − 1)/2)) with f = pairs − 1 degrees of freedom; needs three pairs."""
    f = pairs - 1
    return d * math.exp(gammaln(f / 2) - gammaln((f - 1) / 2)) / math.sqrt(f / 2)


def effect_interval(d: float, pairs: int) -> tuple[float, float]:
    """The interval of the true d_z; NaN where d is infinite or undefined, since all gaps are the same."""
    if not math.isfinite(d):
        return math.nan, math.nan
    low, high = ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2)
    return _true_effect(d, pairs, low), _true_effect(d, pairs, high)


def _true_effect(d: float, pairs: int, share: float) -> float:
    """The d_z under which ``share`` of all studies see a smaller one than ``d``."""
    root, widest = math.sqrt(pairs), 5 * abs(d) + 10

    def above(true: float) -> float:
        return mean_over_seen(pairs, lambda seen: ndtr(root * (d * seen - true))) - share

    return float(brentq(above, -widest, widest))
