"""The variance table: the standard deviation over seeds due to each source, and its fraction of the variance."""

from typing import Any

import pandas as pd

from analysis.frames.study import rows
from analysis.tables.writers import Tabular
from analysis.text.formatting import interval, number
from analysis.text.variance import source_label

HEAD = [
    "cells",
    "source",
    "seeds",
    "standard deviation, points",
    "95 % interval",
    "fraction of variance, %",
    "95 % interval",
]


def variance_table(split: pd.DataFrame) -> Tabular | None:
    """Return the table of a ``variance_split``; None if it is empty."""
    if split.empty:
        return None
    caption = "Standard deviation of the error over seeds by source, other seeds pinned; negative components set to 0"
    return Tabular("variance", caption, HEAD, [_line(row) for row in rows(split)], split, texts=2)


def _line(row: Any) -> list[str]:
    deviation = [number(row.deviation), interval(row.low, row.high)]
    share = [number(100 * row.share, digits=0), interval(100 * row.share_low, 100 * row.share_high, digits=0)]
    return [row.family, source_label(row.source), str(row.n), *deviation, *share]
