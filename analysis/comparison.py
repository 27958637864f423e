"""The comparison table: each cell against its reference, with every test; and the verdicts, one sentence a cell."""

from typing import Any

import pandas as pd
from nowt.seeds_needed import ALPHA, smallest_ratio

from analysis.contrasts import references
from analysis.equivalence import BEYOND, WITHIN
from analysis.frames import Frames, rows
from analysis.paired import paired_gaps_of, paired_tests
from analysis.seeds import FEWEST_SEEDS, error_curves, final_errors, scored_split
from analysis.tabular import Tabular
from analysis.words import FOR_A_CLAIM
from analysis.written import interval, number, p_in_words, p_value, points

POINTS = ["mean", "low", "high"]  # shares in PAIRED, percentage points in the table
ITS = "95 % interval"
HEAD = ["cell", "against", "seeds", "gap, points", ITS, "p", "p, Holm", "p, sign flips", "g_z", ITS]


def compared(frames: Frames, margin: float | None) -> pd.DataFrame:
    """Every comparison of the study, columns PAIRED, gaps in percentage points; ``margin`` in points, too."""
    final = final_errors(error_curves(frames, scored_split(frames)))
    tests = paired_tests(paired_gaps_of(final, references(frames.study)), None if margin is None else margin / 100)
    return tests.assign(**{name: 100 * tests[name] for name in POINTS})


def comparison_table(tests: pd.DataFrame, margin: float | None) -> Tabular:
    """The table for people, and its numbers (columns PAIRED, gaps in points)."""
    head = [*HEAD, *within(margin)]
    lines = [_line(row, margin) for row in rows(tests)]
    caption = "Gaps in error, paired by seed: t intervals and tests, sign-flip permutation test, effect size"
    named = tests.rename(columns={"mean": "gap_points", "low": "gap_low_points", "high": "gap_high_points"})
    return Tabular("comparison", caption, head, lines, named.assign(margin_points=margin), texts=2)


def within(margin: float | None) -> list[str]:
    """The head of the verdict's column; nothing without a margin."""
    return [] if margin is None else [f"within {points(margin)}?"]


def _line(row: Any, margin: float | None) -> list[str]:
    flips = "–" if pd.isna(row.p_flip) else f"{p_value(row.p_flip)} (least {p_value(row.p_flip_least)})"
    verdict = [] if margin is None else [verdict_cell(row)]
    gap = [number(row.mean, "+"), interval(row.low, row.high, "+")]
    effect = [number(row.g_z, "+"), interval(row.g_low, row.g_high, "+")]
    return [row.cell, row.against, str(row.n), *gap, p_value(row.p), p_value(row.p_holm), flips, *effect, *verdict]


def verdict_cell(row: Any) -> str:
    """A comparison's verdict in a cell of a table."""
    said = {WITHIN: "yes", BEYOND: "no, further", "": "–"}.get(row.verdict, "not shown")
    return f"{said} ({p_in_words(row.p_verdict)})" if row.verdict else said


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
