"""The typical gap of each rule: its interquartile mean over seeds, and over models where it was paired in several."""

import json
from collections.abc import Iterator

import pandas as pd

from analysis.contrasts import Fields, flat, references
from analysis.frames import Frames, rows
from analysis.interquartile import FEWEST_SEEDS, interquartile_interval, interquartile_mean
from analysis.paired import paired_gaps_of
from analysis.seeds import error_curves, final_errors, scored_split
from analysis.tabular import Tabular
from analysis.words import seeds_in_words
from analysis.written import interval, number

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


def typical_table(gaps: pd.DataFrame) -> Tabular | None:
    """The groups with seeds enough for an interval; None where there are none."""
    enough = gaps[gaps["n"] >= FEWEST_SEEDS]
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


def typical_in_words(gaps: pd.DataFrame) -> str:
    """Why there is no interquartile mean, or for which cells; nothing where all have one."""
    few = gaps[gaps["n"] < FEWEST_SEEDS]
    if few.empty:
        return ""
    which = "" if len(few) == len(gaps) else f" of {', '.join(few['cells'])}"
    seeds = seeds_in_words(few["n"])
    return f"No interquartile mean{which}: a bootstrap of {seeds} is too narrow, it takes {FEWEST_SEEDS} or more."


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
