"""Each rule's gap to backprop in the same network, for networks of several depths."""

import re

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.seeds import error_curves, final_errors, paired_gaps, scored_split


def depth_of(model: str) -> int | None:
    """Return the number at the end of a model's name, such as 50 for resnet50; None without one."""
    found = re.search(r"(\d+)$", model)
    return int(found.group(1)) if found else None


def depth_gaps(frames: Frames) -> pd.DataFrame:
    """Return each rule's gap to backprop in the same network, paired by seed.

    Args:
        frames: The study's frames.

    Returns:
        One row per network and rule other than ``bp``: cell, rule, model, depth, n, and mean, low, high (percentage
        points, 95 % t interval). Empty if backprop was trained at fewer than two depths, or if a network has two cells
        of one rule.

    Example:
        >>> depth_gaps(frames).pivot(index="depth", columns="rule", values="mean")  # doctest: +SKIP
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
