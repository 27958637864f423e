"""The typical gap of each rule: the interquartile mean of its gaps over seeds and models."""

import json
import math
from collections.abc import Iterator

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.chance import Chance
from analysis.stats.contrasts import Fields, flat_config, references
from analysis.stats.interquartile import interquartile_interval, interquartile_mean
from analysis.stats.seeds import error_curves, final_errors, paired_gaps_of, scored_split

TYPICAL = ["cells", "against", "n", "gap_points", "gap_low_points", "gap_high_points", "void"]


def typical_gaps(frames: Frames) -> pd.DataFrame:
    """Return the interquartile mean of gaps for each group of cells, percentage points.

    A group consists of the cells that use one rule with the same settings, each compared with a different cell; the
    cells are the strata of the bootstrap.

    Args:
        frames: The study's frames.

    Returns:
        One row per group, columns ``TYPICAL``; the interval is NaN with fewer than 8 seeds. ``void``: the
            joint verdict if neither the cells of the group nor those they are compared with have learned, so that there
            is no interval either; otherwise empty.

    Reference:
        Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice".

    Example:
        >>> typical_gaps(frames)[["cells", "gap_points"]]  # doctest: +SKIP
    """
    final = final_errors(error_curves(frames, scored_split(frames)))
    compared, chance = references(frames.study), Chance.of(frames)
    gaps = paired_gaps_of(final, compared)
    found = []
    for cells in _grouped(frames, gaps):
        strata = [list(100 * gaps.loc[gaps["cell"] == cell, "gap"]) for cell in cells]
        against = ", ".join(dict.fromkeys(gaps.loc[gaps["cell"].isin(cells), "against"]))
        values = [value for stratum in strata for value in stratum]
        void = chance.void_in_all((cell, compared[cell]) for cell in cells)
        low, high = (math.nan, math.nan) if void else interquartile_interval(strata)
        found.append((", ".join(cells), against, min(map(len, strata)), interquartile_mean(values), low, high, void))
    return pd.DataFrame(found, columns=TYPICAL)


def _grouped(frames: Frames, gaps: pd.DataFrame) -> Iterator[list[str]]:
    """Yield groups of cells that have the same rule settings and are each compared with a different cell."""
    against = dict(zip(gaps["cell"], gaps["against"], strict=True))
    same_rule: dict[str, list[str]] = {}
    for cell in against:
        same_rule.setdefault(_rule(flat_config(frames.study.cells[cell])), []).append(cell)
    for cells in same_rule.values():
        distinct = len({against[cell] for cell in cells}) == len(cells)
        yield from [cells] if distinct else [[cell] for cell in cells]


def _rule(fields: Fields) -> str:
    return json.dumps({name: value for name, value in fields.items() if name.startswith("rule.")}, sort_keys=True)
