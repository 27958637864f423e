"""How many seeds a gap takes: the power of the paired t test and of the paired test for equivalence.

Cohen (1988), "Statistical power analysis for the behavioral sciences", 2.3: with n pairs, a true gap Δ and a deviation
σ of the gaps over seeds, t has a noncentral t distribution with n − 1 degrees of freedom and noncentrality √n Δ/σ.
Equivalence is two one-sided tests (Schuirmann 1987); their power is Phillips' (1990), "Power of the two one-sided tests
procedure in bioequivalence", equation 5. Gaps, deviations and margins in any one unit.
"""

from collections.abc import Callable
from typing import Any

ALPHA = 0.05  # of all comparisons of a study together

POWER = 0.8  # the share of studies that find a gap which is there

MOST = 10_000  # seeds


def power(ratio: float, seeds: int, alpha: float = ALPHA) -> float:
    """The chance that a two-sided paired t test over so many seeds finds a gap ``ratio`` times its deviation."""
    from scipy.stats import norm, t

    shift, limit = seeds**0.5 * abs(ratio), t.isf(alpha / 2, max(seeds - 1, 1))
    return mean_over_seen(seeds, lambda seen: norm.cdf(shift - limit * seen) + norm.cdf(-shift - limit * seen))


def equivalence_power(ratio: float, seeds: int, alpha: float = ALPHA) -> float:
    """The chance that equals are shown to be within a margin ``ratio`` times the deviation of their gaps."""
    import numpy as np
    from scipy.stats import norm, t

    shift, limit = seeds**0.5 * abs(ratio), t.isf(alpha, max(seeds - 1, 1))
    return mean_over_seen(seeds, lambda seen: 2 * norm.cdf(np.maximum(shift - limit * seen, 0)) - 1)


def mean_over_seen(seeds: int, chance: Callable[[Any], Any]) -> float:
    """The mean of ``chance(s/σ)`` over the deviations s that so many seeds may happen to see; 0 below two seeds.

    The plain integral: scipy's noncentral t is not a number far out.
    """
    import numpy as np
    from scipy.integrate import trapezoid
    from scipy.stats import chi

    if seeds < 2:
        return 0.0
    root = (seeds - 1) ** 0.5
    seen: Any = np.linspace(0, chi.isf(1e-12, seeds - 1) / root, 4001)
    return float(trapezoid(chance(seen) * chi.pdf(seen * root, seeds - 1) * root, seen))


def seeds_for(
    ratio: float,
    alpha: float = ALPHA,
    wanted: float = POWER,
    chance: Callable[[float, int, float], float] = power,
) -> int | None:
    """The fewest seeds with which ``chance`` reaches ``wanted``; None where MOST are too few."""
    few, many = 1, 2
    while chance(ratio, many, alpha) < wanted:
        few, many = many, 2 * many
        if few >= MOST:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if chance(ratio, middle, alpha) >= wanted else (middle, many)
    return many


def smallest_ratio(seeds: int, alpha: float = ALPHA, wanted: float = POWER) -> float:
    """The smallest gap, in deviations, that so many seeds find with power ``wanted``. Needs two seeds."""
    from scipy.optimize import brentq

    return float(brentq(lambda ratio: power(ratio, seeds, alpha) - wanted, 0, 1e4))


def largest_deviation(deviation: float, pairs: int, confidence: float = 0.9) -> float:
    """What the deviation may be at most, one-sided, where so many pairs showed ``deviation``: s √((n − 1)/χ²)."""
    from scipy.stats import chi2

    return float(deviation * ((pairs - 1) / chi2.ppf(1 - confidence, pairs - 1)) ** 0.5)
