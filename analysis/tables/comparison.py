"""Tables of gaps: each cell compared with its counterpart, with every test; and the typical gap of each rule."""

from typing import Any

import pandas as pd

from analysis.frames.study import rows
from analysis.stats.bootstrap import IMAGES_HIGH, IMAGES_LOW
from analysis.stats.equivalence import BEYOND, WITHIN
from analysis.stats.interquartile import FEWEST_FOR_IQM
from analysis.stats.paired import VOID
from analysis.tables.writers import Tabular
from analysis.text.formatting import MISSING, interval, number, p_in_words, p_value, points
from analysis.text.study import neither_in_words

INTERVAL = "95 % interval"

OVER_IMAGES = "95 % interval over seeds and images"

HEAD = ["cell", "against", "seeds", "gap, points", INTERVAL, "p", "p, Holm", "p, sign-flip", "g_z", INTERVAL]


def comparison_table(tests: pd.DataFrame, margin: float | None) -> Tabular:
    """Return the table of the tests of ``compare_cells``, with a column for ``with_image_intervals`` if there are any.

    ``margin`` is in percentage points.
    """
    over_images = [OVER_IMAGES] * (IMAGES_LOW in tests)
    head = [*HEAD[:5], *over_images, *HEAD[5:], *within(margin)]
    lines = [_line(row, margin) for row in rows(tests)]
    caption = "Gaps in error, paired by seed: t interval and test, sign-flip permutation test, and effect size"
    named = tests.rename(
        columns={
            "mean": "gap_points",
            "low": "gap_low_points",
            "high": "gap_high_points",
            IMAGES_LOW: "gap_images_low_points",
            IMAGES_HIGH: "gap_images_high_points",
        }
    )
    return Tabular("comparison", caption, head, lines, named.assign(margin_points=margin), texts=2)


def within(margin: float | None) -> list[str]:
    """Return the heading of the verdict's column; empty without a margin."""
    return [] if margin is None else [f"within {points(margin)}?"]


def _line(row: Any, margin: float | None) -> list[str]:
    flips = "–" if pd.isna(row.p_flip) else f"{p_value(row.p_flip)} (minimum {p_value(row.p_flip_least)})"
    verdict = [] if margin is None else [verdict_cell(row)]
    gap = [gap_text(row), interval(row.low, row.high, "+")]
    gap += [interval(row.images_low, row.images_high, "+")] if hasattr(row, IMAGES_LOW) else []
    effect = [number(row.g_z, "+"), interval(row.g_low, row.g_high, "+")]
    return [row.cell, row.against, str(row.n), *gap, p_value(row.p), p_value(row.p_holm), flips, *effect, *verdict]


def gap_text(row: Any) -> str:
    """Return a comparison's gap for a table."""
    return f"{number(row.mean, '+')}{neither_in_words(row.verdict)}"


def verdict_cell(row: Any) -> str:
    """Return a comparison's verdict for a table."""
    if row.verdict in VOID:
        return MISSING
    verdict = {WITHIN: "yes", BEYOND: "no", "": "–"}.get(row.verdict, "not shown")
    return f"{verdict} ({p_in_words(row.p_verdict)})" if row.verdict else verdict


def typical_table(gaps: pd.DataFrame) -> Tabular | None:
    """Return the typical gaps with enough seeds for an interval; None if there are none."""
    enough = gaps[gaps["n"] >= FEWEST_FOR_IQM]
    if enough.empty:
        return None
    head = ["cells", "against", "seeds per cell", "interquartile mean of gaps, points", "95 % interval"]
    lines = [
        [
            row.cells,
            row.against,
            str(row.n),
            f"{number(row.gap_points, '+')}{neither_in_words(row.void)}",
            interval(row.gap_low_points, row.gap_high_points, "+"),
        ]
        for row in rows(enough)
    ]
    caption = "Interquartile mean of the gaps in error, with stratified bootstrap intervals over seeds"
    return Tabular("interquartile", caption, head, lines, enough, texts=2)
