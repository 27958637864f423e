"""Sentences about a comparison of cells: gaps, verdicts and typical gaps."""

from typing import Any

import pandas as pd

from analysis.frames.study import rows
from analysis.stats.equivalence import BEYOND, WITHIN
from analysis.stats.interquartile import FEWEST_FOR_IQM
from analysis.stats.seeds import FEWEST_SEEDS
from analysis.text.formatting import interval, number, p_in_words, points
from analysis.text.study import FOR_A_CLAIM, seeds_in_words
from nowt.studies.planning.power import ALPHA, smallest_ratio


def sentences(tests: pd.DataFrame, margin: float | None) -> list[str]:
    """One sentence a comparison: the gap, whether it is real, and the verdict on equivalence."""
    return [_sentence(row, margin) for row in rows(tests)]


def _sentence(row: Any, margin: float | None) -> str:
    if row.n < FEWEST_SEEDS:
        return f"{row.cell}: {row.n} seed{'s' * (row.n > 1)} shared with {row.against}, no test: it takes three."
    gap = f"{row.cell}: {number(row.mean, '+')} points to {row.against}"
    if pd.isna(row.p):
        return f"{gap} with every seed: no t test, which supposes that gaps scatter."
    real = f"{'a' if row.p_holm <= ALPHA else 'no'} difference {_shown(row.n)}"
    verdict = "" if margin is None else f"; {_verdict(row, margin)}"
    return f"{gap} ({interval(row.low, row.high, '+')}): {real} ({p_in_words(row.p_holm)}){verdict}."


def _verdict(row: Any, margin: float) -> str:
    said = {
        WITHIN: f"within {points(margin)} of {row.against} {_shown(row.n)}",
        BEYOND: f"more than {points(margin)} from {row.against} {_shown(row.n)}",
    }
    verdict = said.get(row.verdict, f"whether it is within {points(margin)} is not shown either way")
    return f"{verdict} ({p_in_words(row.p_verdict)})"


def _shown(seeds: int) -> str:
    """A few seeds describe."""
    return "is shown" if seeds >= FOR_A_CLAIM else f"is seen on {seeds} seeds"


def comparison_notes(tests: pd.DataFrame, margin: float | None) -> str:
    """What the tests are, what they can find, and what they cannot say."""
    tested = tests[tests["p"].notna()]
    if tests.empty:
        return "Nothing is compared: no cell shares a seed with another that it could be compared with."
    if tested.empty:
        return ""
    pairs = int(tested["n"].max())
    holm = f", Holm-corrected over {len(tested)} comparisons" if len(tested) > 1 else ""
    equality = (
        "No margin was stated, so nothing here says that two are equal."
        if margin is None
        else f"Equivalence: two one-sided paired t tests against {points(margin)}{holm}."
    )
    few = f" Fewer than {FOR_A_CLAIM} seeds describe: a claim takes more." if pairs < FOR_A_CLAIM else ""
    ratio = smallest_ratio(pairs, ALPHA / len(tested))
    return (
        f"p: two-sided paired t tests{holm}; intervals are of one comparison alone. {equality} With {pairs} seeds four "
        f"studies in five find a gap that is {ratio:.1f} times as large as its deviation over seeds.{few}"
    )


def typical_in_words(gaps: pd.DataFrame) -> str:
    """Why there is no interquartile mean, or for which cells; nothing where all have one."""
    few = gaps[gaps["n"] < FEWEST_FOR_IQM]
    if few.empty:
        return ""
    which = "" if len(few) == len(gaps) else f" of {', '.join(few['cells'])}"
    seeds = seeds_in_words(few["n"])
    return f"No interquartile mean{which}: a bootstrap of {seeds} is too narrow, it takes {FEWEST_FOR_IQM} or more."
