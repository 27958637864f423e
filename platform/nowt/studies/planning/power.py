"""Statistical power and sample size of the paired t test and of the paired equivalence test.

Cohen (1988), "Statistical power analysis for the behavioral sciences", 2.3: with n pairs, a true gap Δ and a standard
deviation σ of the gaps over seeds, t has a noncentral t distribution with n − 1 degrees of freedom and noncentrality
√n Δ/σ. Equivalence is shown by two one-sided tests (Schuirmann 1987); for their power see Phillips (1990), "Power of
the two one-sided tests procedure in bioequivalence", equation 5. Gaps, standard deviations and margins share one unit.
"""

from collections.abc import Callable
from typing import Any

ALPHA = 0.05  # family-wise significance level of a study's comparisons

POWER = 0.8  # the probability of detecting a true gap

MAX_SEEDS = 10_000  # seeds


def power(ratio: float, seeds: int, alpha: float = ALPHA) -> float:
    """Return the power of a two-sided paired t test with ``seeds`` seeds for a gap of ``ratio`` standard deviations."""
    from scipy.stats import norm, t

    shift, limit = seeds**0.5 * abs(ratio), t.isf(alpha / 2, max(seeds - 1, 1))
    return mean_over_sample_deviations(
        seeds, lambda seen: norm.cdf(shift - limit * seen) + norm.cdf(-shift - limit * seen)
    )


def equivalence_power(ratio: float, seeds: int, alpha: float = ALPHA, true_share: float = 0.0) -> float:
    """Return the power of the equivalence test if the margin is ``ratio`` standard deviations, and the true gap is
    ``true_share`` of the margin."""
    import numpy as np
    from scipy.stats import norm, t

    shift, limit = seeds**0.5 * abs(ratio), t.isf(alpha, max(seeds - 1, 1))
    below, above = shift * (1 - true_share), shift * (1 + true_share)
    return mean_over_sample_deviations(
        seeds,
        lambda seen: np.maximum(norm.cdf(below - limit * seen) + norm.cdf(above - limit * seen) - 1, 0),
    )


def mean_over_sample_deviations(seeds: int, chance: Callable[[Any], Any]) -> float:
    """Return the expectation of ``chance(s/σ)`` over the sampling distribution of s, the standard deviation over seeds.
    It is 0 for fewer than two seeds.

    It is integrated directly, because scipy's noncentral t distribution returns NaN in the tails.
    """
    import numpy as np
    from scipy.integrate import trapezoid
    from scipy.stats import chi

    if seeds < 2:
        return 0.0
    root = (seeds - 1) ** 0.5
    seen: Any = np.linspace(0, chi.isf(1e-12, seeds - 1) / root, 4001)
    return float(trapezoid(chance(seen) * chi.pdf(seen * root, seeds - 1) * root, seen))


def required_seeds(
    ratio: float,
    alpha: float = ALPHA,
    target_power: float = POWER,
    chance: Callable[[float, int, float], float] = power,
) -> int | None:
    """Return the fewest seeds with the power ``target_power``, as ``chance`` computes it; None if above MAX_SEEDS."""
    few, many = 1, 2
    while chance(ratio, many, alpha) < target_power:
        few, many = many, 2 * many
        if few >= MAX_SEEDS:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if chance(ratio, middle, alpha) >= target_power else (middle, many)
    return many


def smallest_ratio(seeds: int, alpha: float = ALPHA, target_power: float = POWER) -> float:
    """Return the smallest gap, in standard deviations, that is detected with power ``target_power``.

    ``seeds`` must be at least 2.
    """
    from scipy.optimize import brentq

    return float(brentq(lambda ratio: power(ratio, seeds, alpha) - target_power, 0, 1e4))


def largest_deviation(deviation: float, pairs: int, confidence: float = 0.9) -> float:
    """Return the one-sided upper confidence bound of the standard deviation, given the sample's ``deviation`` over
    ``pairs`` pairs: s √((n − 1)/χ²)."""
    from scipy.stats import chi2

    return float(deviation * ((pairs - 1) / chi2.ppf(1 - confidence, pairs - 1)) ** 0.5)
