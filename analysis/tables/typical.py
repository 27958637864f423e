"""The typical gap of each rule: its interquartile mean over seeds, and over models where it was paired in several."""

import pandas as pd

from analysis.frames.study import rows
from analysis.stats.interquartile import FEWEST_FOR_IQM
from analysis.tables.writers import Tabular
from analysis.text.formatting import interval, number


def typical_table(gaps: pd.DataFrame) -> Tabular | None:
    """The groups with seeds enough for an interval; None where there are none."""
    enough = gaps[gaps["n"] >= FEWEST_FOR_IQM]
    if enough.empty:
        return None
    head = ["cells", "against", "seeds each", "interquartile mean of gaps, points", "95 % interval"]
    lines = [
        [
            row.cells,
            row.against,
            str(row.n),
            number(row.gap_points, "+"),
            interval(row.gap_low_points, row.gap_high_points, "+"),
        ]
        for row in rows(enough)
    ]
    caption = "Interquartile mean of the gaps in error, with a stratified bootstrap over seeds"
    return Tabular("interquartile", caption, head, lines, enough, texts=2)
