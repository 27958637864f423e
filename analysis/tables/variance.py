"""The variance table: each source's standard deviation over seeds and its share, with intervals."""

from typing import Any

import pandas as pd

from analysis.frames.study import rows
from analysis.tables.writers import Tabular
from analysis.text.formatting import interval, number

HEAD = ["cells", "source", "seeds", "deviation, points", "95 % interval", "share of variance, %", "95 % interval"]


def variance_table(split: pd.DataFrame) -> Tabular | None:
    """The table of ``variance_split``; None where nothing was split."""
    if split.empty:
        return None
    caption = "Standard deviation of the error over seeds by its source, the others pinned; a component below 0 is 0"
    return Tabular("variance", caption, HEAD, [_line(row) for row in rows(split)], split, texts=2)


def _line(row: Any) -> list[str]:
    deviation = [number(row.deviation), interval(row.low, row.high)]
    share = [number(100 * row.share, digits=0), interval(100 * row.share_low, 100 * row.share_high, digits=0)]
    return [row.family, row.source, str(row.n), *deviation, *share]
