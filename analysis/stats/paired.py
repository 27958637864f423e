"""Paired comparisons: the error of each cell minus that of the cell it is compared with, per seed.

A comparison has the t interval and t test of its gaps, with Holm's correction over all comparisons; the sign-flip
permutation test and the smallest p value that it can reach; the effect size; and, given a margin, the equivalence
verdict. Diverged runs count with chance error. With fewer than three pairs only the mean is given, and gaps that are
equal for all seeds are not tested. Neither is a comparison of two cells of which neither shows with any seed that it
has learned (``analysis.stats.chance``): its verdict is one of VOID, and it has no interval. Errors, gaps and margins
are fractions from 0 to 1.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.special import stdtr

from analysis.frames.schema import enforce_schema
from analysis.frames.study import Frames
from analysis.stats.chance import Chance
from analysis.stats.contrasts import references
from analysis.stats.effect_size import effect_interval, hedges_g
from analysis.stats.equivalence import margin_p_values, verdicts
from analysis.stats.holm import holm
from analysis.stats.permutation import sign_flip_p, smallest_p
from analysis.stats.seeds import (
    FEWEST_SEEDS,
    ROUNDING,
    error_curves,
    final_errors,
    mean_interval,
    paired_gaps_of,
    scored_split,
)
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES

VOID = (AT_CHANCE, TOO_FEW_IMAGES)  # the verdicts of a comparison that is void, because neither cell has learned

PAIRED = {
    "cell": "str",
    "against": "str",  # the cell it is compared with
    "n": "int64",  # number of seeds that both have
    "mean": "float64",  # of the gaps
    "low": "float64",  # 95 % t interval
    "high": "float64",
    "t": "float64",
    "p": "float64",  # two-sided
    "p_holm": "float64",
    "p_flip": "float64",  # sign-flip permutation test, exact up to 16 pairs
    "p_flip_least": "float64",  # smallest p that this many pairs can reach
    "d_z": "float64",  # Cohen's effect size
    "g_z": "float64",  # with Hedges' correction
    "g_low": "float64",  # 95 % interval of the true effect size
    "g_high": "float64",
    "verdict": "str",  # within, beyond, open, at chance or too few images; empty without margin or test
    "p_verdict": "float64",  # Holm-corrected
}

NONE_VOID: Mapping[tuple[str, str], str] = MappingProxyType({})

TESTED = ["low", "high", "d_z", "t", "p", "error"]  # columns of ``t_tests`` that a void comparison lacks


def compare_cells(frames: Frames, margin: float | None) -> pd.DataFrame:
    """Return every comparison of a study, columns PAIRED, with gaps and their intervals in percentage points.

    Each cell is compared with its counterpart (``analysis.stats.contrasts.references``). ``margin`` is in percentage
    points; None tests no equivalence.
    """
    final, against = final_errors(error_curves(frames, scored_split(frames))), references(frames.study)
    void = Chance.of(frames).void(against.items())
    tests = paired_tests(paired_gaps_of(final, against), None if margin is None else margin / 100, void)
    return tests.assign(**{name: 100 * tests[name] for name in ("mean", "low", "high")})


def paired_tests(
    gaps: pd.DataFrame, margin: float | None = None, void: Mapping[tuple[str, str], str] = NONE_VOID
) -> pd.DataFrame:
    """Test paired gaps.

    Args:
        gaps: One row per pair, from ``paired_gaps_of``.
        margin: Equivalence margin, in the unit of the gaps; None tests no equivalence.
        void: Comparisons (cell, against) that are not tested, because neither cell has learned; the verdict of each.

    Returns:
        One row per comparison in the order of ``gaps``, columns ``PAIRED``.

    Reference:
        Student (1908); Holm (1979); Fisher (1935); Hedges (1981); Schuirmann (1987).

    Example:
        >>> final = final_errors(error_curves(frames, "test"))  # doctest: +SKIP
        >>> paired_tests(paired_gaps_of(final, references(frames.study)), margin=0.01)  # doctest: +SKIP
    """
    found = t_tests(gaps, ["cell", "against"])
    reasons = [void.get(pair, "") for pair in zip(found["cell"], found["against"], strict=True)]
    is_void = pd.Series(list(map(bool, reasons)), dtype="bool")
    found[TESTED] = found[TESTED].mask(is_void)
    flips = gaps.groupby(["cell", "against"], sort=False)["gap"].agg(sign_flip_p).to_numpy()
    tested = found["p"].notna()
    found = found.assign(
        p_holm=holm(found["p"]),
        p_flip=pd.Series(flips, dtype="float64").where(tested),
        p_flip_least=found["n"].map(smallest_p).where(tested),
    )
    judged = verdicts(margin_p_values(found, margin)) if margin is not None else _without_verdict(found)
    judged["verdict"] = judged["verdict"].mask(is_void, pd.Series(reasons, dtype="str"))
    return enforce_schema(found.join(_effects(found)).join(judged), PAIRED)


def t_tests(gaps: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Test the column ``gap`` in each group of ``by``: n, mean, low, high, d_z, t, p and error (the standard error).

    A group whose gaps are all equal is not tested, because the t test requires that they vary.
    """
    found = mean_interval(gaps, by, "gap")
    spread = pd.Series(gaps.groupby(by, sort=False)["gap"].std().to_numpy(), dtype="float64")
    deviation = spread.where((found["n"] >= FEWEST_SEEDS) & (spread > ROUNDING))
    root = found["n"] ** 0.5
    d = found["mean"] / deviation
    return found.assign(error=deviation / root, d_z=d, t=d * root, p=2 * stdtr(found["n"] - 1, -(d * root).abs()))


def _effects(found: pd.DataFrame) -> pd.DataFrame:
    """Return g_z, g_low and g_high of each row; NaN for a row that was not tested."""
    rows = []
    for d, n in zip(found["d_z"], found["n"], strict=True):
        known = math.isfinite(d)
        rows.append((hedges_g(d, n), *effect_interval(d, n)) if known else (math.nan,) * 3)
    return pd.DataFrame(rows, columns=["g_z", "g_low", "g_high"], index=found.index, dtype="float64")


def _without_verdict(found: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"verdict": "", "p_verdict": np.nan}, index=found.index)
