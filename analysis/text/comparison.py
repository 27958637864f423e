"""Sentences about comparisons of cells: gaps, significance and equivalence."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.frames.study import rows
from analysis.stats.bootstrap import IMAGES_HIGH, IMAGES_LOW
from analysis.stats.chance import Chance
from analysis.stats.equivalence import BEYOND, WITHIN
from analysis.stats.interquartile import FEWEST_FOR_IQM
from analysis.stats.paired import VOID
from analysis.stats.seeds import FEWEST_SEEDS
from analysis.text.formatting import interval, number, p_in_words, points
from analysis.text.study import FOR_A_CLAIM, seeds_in_words
from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES, Verdict
from nowt.studies.planning.power import ALPHA, smallest_ratio

NEITHER = {  # of two cells that were not compared
    AT_CHANCE: "both {} and {} ended at chance",
    TOO_FEW_IMAGES: "{} and {} have too few images to tell either from chance",
}

SOME: dict[Verdict, str] = {  # of some pairs of runs
    AT_CHANCE: "both ended at chance",
    TOO_FEW_IMAGES: "too few images tell neither from chance",
}


def sentences(tests: pd.DataFrame, margin: float | None, chance: Chance) -> list[str]:
    """Return one sentence per comparison: the gap, its significance, and the equivalence verdict.

    ``tests`` are those of ``compare_cells``; ``margin`` is in percentage points. ``chance`` tells with which seeds
    neither cell has learned.
    """
    return [_sentence(row, margin, chance.pairs(row.cell, row.against)) for row in rows(tests)]


def _over_images(row: Any) -> str:
    """Return the interval over seeds and images of a comparison; empty without one."""
    low, high = getattr(row, IMAGES_LOW, math.nan), getattr(row, IMAGES_HIGH, math.nan)
    return "" if math.isnan(low) else f"; over seeds and images {interval(low, high, '+')}"


def _sentence(row: Any, margin: float | None, pairs: Mapping[Verdict, int]) -> str:
    if row.verdict in VOID:
        neither = NEITHER[row.verdict].format(row.cell, row.against)
        return f"{row.cell}: {neither} ({counted(row.n, 'shared seed')}); no comparison is meaningful."
    if row.n < FEWEST_SEEDS:
        return f"{row.cell}: only {counted(row.n, 'seed')} shared with {row.against}; a test requires at least 3."
    gap = f"{row.cell}: {number(row.mean, '+')} points relative to {row.against} over {row.n} shared seeds"
    if pd.isna(row.p):
        return f"{gap} for every seed; equal gaps cannot be tested."
    significance = f"{'a' if row.p_holm <= ALPHA else 'no'} significant difference {_shown(row.n)}"
    verdict = "" if margin is None else f"; {_verdict(row, margin)}"
    gap += f" (95 % interval {interval(row.low, row.high, '+')}{_over_images(row)})"
    some = "".join(f"; {words} with {pairs[which]} of these seeds" for which, words in SOME.items() if pairs[which])
    return f"{gap}: {significance} ({p_in_words(row.p_holm)}){verdict}{some}."


def _verdict(row: Any, margin: float) -> str:
    claims = {
        WITHIN: f"equivalence to {row.against} within {points(margin)} {_shown(row.n)}",
        BEYOND: f"a difference of more than {points(margin)} from {row.against} {_shown(row.n)}",
    }
    verdict = claims.get(row.verdict, f"equivalence within {points(margin)} is neither shown nor refuted")
    return f"{verdict} ({p_in_words(row.p_verdict)})"


def _shown(seeds: int) -> str:
    """Return the verb of a claim: "is shown" for enough seeds, otherwise "is observed"."""
    return "is shown" if seeds >= FOR_A_CLAIM else f"is observed on {seeds} seeds"


def comparison_notes(tests: pd.DataFrame, margin: float | None) -> str:
    """Return sentences stating what the tests are, what they can detect, and what they cannot claim."""
    tested = tests[tests["p"].notna()]
    if tests.empty:
        return "No comparisons: no two comparable cells share a seed."
    if tested.empty:
        return ""
    pairs = int(tested["n"].max())
    holm = f", Holm-corrected over {len(tested)} comparisons" if len(tested) > 1 else ""
    equality = (
        "No margin was given, so no equivalence is claimed."
        if margin is None
        else f"Equivalence: two one-sided paired t tests with a margin of {points(margin)}{holm}."
    )
    few = f" Fewer than {FOR_A_CLAIM} seeds are illustrative and do not support a claim." if pairs < FOR_A_CLAIM else ""
    images = (
        " Intervals over seeds and images: percentiles of a two-way bootstrap that resamples seeds and test images "
        "(Owen 2007)."
        if IMAGES_LOW in tests
        else ""
    )
    ratio = smallest_ratio(pairs, ALPHA / len(tested))
    return (
        f"p values: two-sided paired t tests{holm}; intervals are not corrected. {equality} With {pairs} seeds, a gap "
        f"of {ratio:.1f} standard deviations over seeds is detected with 80 % power.{images}{few}"
    )


def typical_in_words(gaps: pd.DataFrame) -> str:
    """Return a sentence stating for which cells there is no interquartile mean and why; empty if all have one."""
    few = gaps[gaps["n"] < FEWEST_FOR_IQM]
    if few.empty:
        return ""
    which = "" if len(few) == len(gaps) else f" of {', '.join(few['cells'])}"
    seeds = seeds_in_words(few["n"])
    return (
        f"No interquartile mean{which}: a bootstrap over {seeds} is too narrow; at least {FEWEST_FOR_IQM} are required."
    )
