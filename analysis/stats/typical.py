"""Typical gaps: interquartile means."""

import json
from collections.abc import Iterator

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.contrasts import Fields, flat, references
from analysis.stats.interquartile import interquartile_interval, interquartile_mean
from analysis.stats.paired import paired_gaps_of
from analysis.stats.seeds import error_curves, final_errors, scored_split

TYPICAL = ["cells", "against", "n", "gap_points", "gap_low_points", "gap_high_points"]


def typical_gaps(frames: Frames) -> pd.DataFrame:
    """One row a group of cells, columns TYPICAL: the interquartile mean of their gaps, percentage points.

    A group is the cells of one setting of a rule, each with a reference of its own: they are the strata.
    """
    final = final_errors(error_curves(frames, scored_split(frames)))
    gaps = paired_gaps_of(final, references(frames.study))
    found = []
    for cells in _grouped(frames, gaps):
        strata = [list(100 * gaps.loc[gaps["cell"] == cell, "gap"]) for cell in cells]
        against = ", ".join(dict.fromkeys(gaps.loc[gaps["cell"].isin(cells), "against"]))
        values = [value for stratum in strata for value in stratum]
        low, high = interquartile_interval(strata)
        found.append((", ".join(cells), against, min(map(len, strata)), interquartile_mean(values), low, high))
    return pd.DataFrame(found, columns=TYPICAL)


def _grouped(frames: Frames, gaps: pd.DataFrame) -> Iterator[list[str]]:
    """The cells with gaps: together where they have the same rule, field by field, and each its own reference."""
    against = dict(zip(gaps["cell"], gaps["against"], strict=True))
    alike: dict[str, list[str]] = {}
    for cell in against:
        alike.setdefault(_rule(flat(frames.study.cells[cell])), []).append(cell)
    for cells in alike.values():
        apart = len({against[cell] for cell in cells}) == len(cells)
        yield from [cells] if apart else [[cell] for cell in cells]


def _rule(fields: Fields) -> str:
    return json.dumps({name: value for name, value in fields.items() if name.startswith("rule.")}, sort_keys=True)
