"""The table of a study's claim: what is known of each cell, and its verdict."""

from typing import Any

import pandas as pd

from analysis.frames.study import rows
from analysis.stats.claim import ClaimTest
from analysis.tables.writers import Tabular, markdown_text
from analysis.text.claim import added_in_words, cell_verdict, claim_in_words, late_in_words, overall_verdict
from analysis.text.formatting import MISSING, angle, interval, number, p_value, points

ALL = "all cells"


def claim_markdown(test: ClaimTest, margin: float | None) -> str:
    """Return the claim, its verdict and one line per cell as Markdown. ``margin`` is that of the report, in points."""
    text = claim_in_words(test, margin)
    cells = [f"- {markdown_text(cell)}" for cell in text.cells]
    return "\n".join([f"**{markdown_text(text.head)}**", "", *cells, "", markdown_text(text.notes)]) + "\n"


def claim_table(test: ClaimTest | None) -> Tabular | None:
    """Return the table, with a last line for the claim as a whole; None without a claim."""
    if test is None:
        return None
    margin = f"{test.claim.margin:g}"
    tests = [f"p, gap > −{margin}", f"p, gap < {margin}"]
    head = ["cell", "against", "seeds", "gap, points", "90 % interval", *tests, "δ angle, °", "verdict"]
    lines = [_line(row, test) for row in rows(test.table)]
    lines.append([ALL, *[MISSING] * (len(head) - 2), overall_verdict(test)])
    caption = f"Claim: each cell is within {points(test.claim.margin)}; two one-sided paired t tests per cell"
    caption = "; ".join(filter(None, [caption, late_in_words(test), added_in_words(test)]))
    return Tabular("claim", caption, head, lines, _numbers(test), texts=2, last=r"0.35\linewidth")


def _line(row: Any, test: ClaimTest) -> list[str]:
    seeds = str(row.n) if row.n == row.seeds else f"{row.n} of {row.seeds}"
    gap = [number(row.mean, "+"), interval(row.low, row.high, "+")]
    p = [p_value(row.p_above), p_value(row.p_below)]
    return [row.cell, row.against, seeds, *gap, *p, angle(row.delta_angle), cell_verdict(row, test.claim)]


def _numbers(test: ClaimTest) -> pd.DataFrame:
    """Return the unrounded numbers, with a row for the claim as a whole."""
    whole = pd.DataFrame([{"cell": ALL, "verdict": test.verdict}])
    named = {"mean": "gap_points", "low": "gap_low_points", "high": "gap_high_points"}
    table = pd.concat([test.table.rename(columns=named), whole], ignore_index=True)
    return table.assign(margin_points=test.claim.margin, max_delta_angle=test.claim.max_delta_angle)
