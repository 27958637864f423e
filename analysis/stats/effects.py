"""What each factor of an ablation does: the change in error from one cell to another, paired by seed.

One row per contrast (analysis.stats.contrasts). Where several rules or nets went through the same change, one more row
has their mean, taken seed by seed over the seeds that all of them have. Effects are percentage points.
"""

from dataclasses import dataclass

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.contrasts import Contrast, contrasts
from analysis.stats.paired import paired_gaps_of
from analysis.stats.seeds import error_curves, final_errors, mean_interval, scored_split

MEAN = "mean"

EFFECTS = ["factor", "change", "cell", "against", "rule", "n", "mean", "low", "high"]

KEYS = ["factor", "change", "cell", "against", "rule"]


@dataclass(frozen=True)
class Effects:
    """An ablation's effects, and the seeds behind them."""

    table: pd.DataFrame  # columns EFFECTS; a row of means has no cell and no rule
    seeds: pd.DataFrame  # columns KEYS, seed, gap


def effects(frames: Frames) -> Effects:
    """The effects of the study's factors, in the order of ``contrasts``."""
    final = final_errors(error_curves(frames, scored_split(frames)))
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    parts = [part for one in contrasts(frames.study) if not (part := _seeds(final, one, rules)).empty]
    if not parts:
        return Effects(pd.DataFrame(columns=EFFECTS), pd.DataFrame(columns=[*KEYS, "seed", "gap"]))
    each = pd.concat(parts, ignore_index=True)
    seeds = pd.concat([each, _means(each)], ignore_index=True)
    return Effects(mean_interval(seeds, KEYS, "gap")[EFFECTS], seeds)


def _seeds(final: pd.DataFrame, one: Contrast, rules: dict[str, str]) -> pd.DataFrame:
    gaps = paired_gaps_of(final, {one.cell: one.against})
    gaps = gaps.assign(factor=one.factor, change=one.change, rule=rules[one.cell], gap=100 * gaps["gap"])
    return gaps[[*KEYS, "seed", "gap"]]


def _means(each: pd.DataFrame) -> pd.DataFrame:
    """For each change that several pairs of cells went through: the mean of their gaps, seed by seed."""
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
