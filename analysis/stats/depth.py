"""Each rule's gap to backprop in the same network, for networks of several depths."""

import re

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.seeds import error_curves, final_errors, paired_gaps, scored_split


def depth_of(model: str) -> int | None:
    """The number at the end of a net's name: resnet50 has 50 layers, as its paper counts them."""
    found = re.search(r"(\d+)$", model)
    return int(found.group(1)) if found else None


def depth_gaps(frames: Frames) -> pd.DataFrame:
    """One row a net and rule beside backprop: cell, rule, model, depth, n, mean, low, high (points, paired by seed).

    Empty where fewer than two depths have backprop, and where a net has two cells of one rule.
    """
    cells = frames.runs[["cell", "rule", "model"]].drop_duplicates("cell")
    cells = cells.assign(depth=pd.array([depth_of(model) for model in cells["model"]], dtype="Int64"))
    cells = cells.dropna(subset="depth")
    final = final_errors(error_curves(frames, scored_split(frames)))
    parts = [pd.DataFrame(columns=["cell", "n", "mean", "low", "high"])]
    unique = not cells.duplicated(["rule", "model"]).any()
    for _, net in cells.groupby("model", sort=False) if unique else []:
        reference = net.loc[net["rule"] == "bp", "cell"]
        mine = final[final["cell"].isin(net["cell"])]
        if len(reference) and reference.iloc[0] in set(mine["cell"]):
            parts.append(paired_gaps(mine, reference.iloc[0]))
    gaps = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    gaps = gaps.assign(**{name: 100 * gaps[name].astype("float64") for name in ("mean", "low", "high")})
    gaps = gaps.merge(cells, on="cell")
    return gaps if gaps["depth"].nunique() > 1 else gaps.iloc[:0]
