"""Errors with settings carried over from a search, beside the target recipe's own (``nowt transfer``)."""

import re
from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.stats.seeds import error_curves, final_errors, mean_interval, percent, scored_split

TRANSFERRED, RECIPE = re.compile(r"^(.+) trial (\d+)$"), re.compile(r"^(.+) recipe$")

RANKS = ("best", "second", "third")


def transferred_errors(frames: Frames) -> pd.DataFrame:
    """Return the error of each carried-over setting beside that of the target's own recipe.

    Args:
        frames: The frames of a study created by ``nowt transfer``.

    Returns:
        One row per carried-over setting: cell, source (the search's cell), rule, rank, n; mean, low and high of its
        error; own, own_low and own_high of the recipe's error. Errors are in percent with 95 % t intervals. Empty for a
        study that is not a transfer.

    Example:
        >>> transferred_errors(frames)[["source", "rank", "mean", "own"]]  # doctest: +SKIP
    """
    final = final_errors(error_curves(frames, scored_split(frames)))
    errors = percent(mean_interval(final, ["cell"], "error"))
    own = {found.group(1): row for row in rows(errors) if (found := RECIPE.match(row.cell))}
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    ranks: dict[str, int] = {}
    carried = []
    by_cell = {row.cell: row for row in rows(errors)}
    for cell in frames.study.cells:
        found = TRANSFERRED.match(cell)
        if found and found.group(1) in own:
            source = found.group(1)
            rank = ranks[source] = ranks.get(source, 0) + 1
            if cell in by_cell:
                carried.append(_row(by_cell[cell], own[source], source, rules[cell], rank))
    return pd.DataFrame(carried)


def _row(there: Any, own: Any, source: str, rule: str, rank: int) -> dict[str, Any]:
    return {
        **{name: getattr(there, name) for name in ("cell", "n", "mean", "low", "high")},
        "source": source,
        "rule": rule,
        "rank": RANKS[rank - 1] if rank <= len(RANKS) else "further",
        "own": own.mean,
        "own_low": own.low,
        "own_high": own.high,
    }
