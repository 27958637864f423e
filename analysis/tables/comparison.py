"""The comparison table: each cell against its reference, with every test; and the verdicts, one sentence a cell."""

from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.stats.contrasts import references
from analysis.stats.equivalence import BEYOND, WITHIN
from analysis.stats.paired import paired_gaps_of, paired_tests
from analysis.stats.seeds import error_curves, final_errors, scored_split
from analysis.tables.writers import Tabular
from analysis.text.formatting import interval, number, p_in_words, p_value, points

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
