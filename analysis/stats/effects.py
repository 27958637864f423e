"""The effect of each factor of an ablation: the change in final error from one cell to another, paired by seed.

There is one row per contrast (``analysis.stats.contrasts``). If several rules or networks were changed in the same way,
one more row holds their mean effect, computed per seed over the seeds that all of them share. Effects are in percentage
points. Between cells of which neither has learned with any seed, there is no interval (``analysis.stats.chance``).
"""

from dataclasses import dataclass

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.chance import Chance
from analysis.stats.contrasts import Contrast, contrasts
from analysis.stats.seeds import error_curves, final_errors, mean_interval, paired_gaps_of, scored_split

MEAN = "mean"

EFFECTS = ["factor", "change", "cell", "against", "rule", "n", "mean", "low", "high", "void"]

KEYS = ["factor", "change", "cell", "against", "rule"]


@dataclass(frozen=True)
class Effects:
    """The effects of an ablation.

    Attributes:
        table: One row per contrast, columns ``EFFECTS``: mean effect and 95 % t interval, percentage points, and
            the joint verdict of two cells that have not learned, otherwise empty. In a row that averages several
            contrasts, ``rule`` is empty.
        seeds: One row per contrast and seed, columns ``KEYS``, seed, gap (percentage points).
    """

    table: pd.DataFrame
    seeds: pd.DataFrame


def effects(frames: Frames) -> Effects:
    """Estimate the effect of each factor of a study.

    Args:
        frames: The study's frames.

    Returns:
        The effects in the order of ``contrasts``; empty if no two comparable cells share a seed.

    Example:
        >>> effects(frames).table[["factor", "change", "mean", "low", "high"]]  # doctest: +SKIP
    """
    final = final_errors(error_curves(frames, scored_split(frames)))
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    parts = [part for one in contrasts(frames.study) if not (part := _seeds(final, one, rules)).empty]
    if not parts:
        return Effects(pd.DataFrame(columns=EFFECTS), pd.DataFrame(columns=[*KEYS, "seed", "gap"]))
    each = pd.concat(parts, ignore_index=True)
    seeds = pd.concat([each, _means(each)], ignore_index=True)
    return Effects(_with_chance(mean_interval(seeds, KEYS, "gap"), Chance.of(frames))[EFFECTS], seeds)


def _with_chance(table: pd.DataFrame, chance: Chance) -> pd.DataFrame:
    """Return the table with a column ``void``, and without the intervals of the rows in which it is not empty."""
    change = list(zip(table["factor"], table["change"], strict=True))
    pairs = list(zip(table["cell"], table["against"], strict=True))
    averaged: dict[tuple[str, str], list[tuple[str, str]]] = {}  # by change: the pairs that its mean averages
    for key, pair in zip(change, pairs, strict=True):
        averaged.setdefault(key, []).extend([pair] if pair[1] else [])
    each = zip(change, pairs, strict=True)
    found = [chance.void_in_all([pair] if pair[1] else averaged[key]) for key, pair in each]
    void = pd.Series(found, index=table.index, dtype="str")
    return table.assign(void=void, **{end: table[end].mask(void != "") for end in ("low", "high")})


def _seeds(final: pd.DataFrame, one: Contrast, rules: dict[str, str]) -> pd.DataFrame:
    gaps = paired_gaps_of(final, {one.cell: one.against})
    gaps = gaps.assign(factor=one.factor, change=one.change, rule=rules[one.cell], gap=100 * gaps["gap"])
    return gaps[[*KEYS, "seed", "gap"]]


def _means(each: pd.DataFrame) -> pd.DataFrame:
    """Return, for each change shared by several pairs of cells, the mean of their gaps per seed."""
    found = []
    for (factor, change), group in each[each["change"] != ""].groupby(["factor", "change"], sort=False):
        pairs = group["against"].nunique()
        by_seed = group.pivot(index="seed", columns=["cell", "against"], values="gap").dropna()
        if pairs > 1 and not by_seed.empty:
            mean = by_seed.mean(axis=1).rename("gap").reset_index()
            found.append(
                mean.assign(factor=str(factor), change=str(change), cell=f"{MEAN} of {pairs}", against="", rule="")
            )
    return pd.concat(found, ignore_index=True) if found else each.iloc[:0]
