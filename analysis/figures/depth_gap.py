"""Does the gap to backprop widen with depth? Each rule's gap to backprop in the same net, over the nets' depths."""

import re
import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.legend import cell_colour, cell_dash, cell_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.study import Frames
from analysis.stats.seeds import error_curves, final_errors, paired_gaps, scored_split
from analysis.text.study import SPLITS, interval_in_words


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


def depth_gap_chart(frames: Frames) -> Any | None:
    """The figure as an Altair chart; None for a study of one depth, or without backprop."""
    gaps = depth_gaps(frames)
    if gaps.empty:
        return None
    split = SPLITS[scored_split(frames)]
    gaps = gaps.assign(depth=gaps["depth"].astype("int64"))
    rules = list(dict.fromkeys(gaps["rule"]))
    styles = cell_styles({rule: rule for rule in rules})
    legend = cell_legend({rule: rule for rule in rules})
    colour, dash = cell_colour(styles, legend, "rule"), cell_dash(styles, legend, "rule")
    depths = sorted(set(gaps["depth"]))
    room = 0.06 * (depths[-1] - depths[0])
    scale = alt.Scale(domain=[depths[0] - room, depths[-1] + room], nice=False)
    x = alt.X("at:Q", title="Layers of the net", scale=scale, axis=alt.Axis(values=depths, grid=False))
    gaps = gaps.assign(at=gaps["depth"] + gaps["rule"].map(_shifts(rules, room)))
    y = "Gap to bp in the same net (points)"
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color="#888888").encode(y="zero:Q")
    bars = (
        alt.Chart(gaps.dropna(subset="low"))
        .mark_rule(strokeWidth=1.5)
        .encode(x=x, y="low:Q", y2="high:Q", color=colour)
    )
    line = (
        alt.Chart(gaps).mark_line(strokeWidth=2).encode(x=x, y=alt.Y("mean:Q", title=y), color=colour, strokeDash=dash)
    )
    dots = alt.Chart(gaps).mark_point(filled=True, size=40, opacity=1).encode(x=x, y="mean:Q", color=colour)
    said = [f"{split} error after the last epoch, minus bp's with the same seed", interval_in_words(gaps["n"], "bar")]
    figure = (zero + bars + line + dots).properties(width=WIDTH, height=190)
    return figure.properties(title=title("Gap to backprop by depth", said))


def _shifts(rules: list[str], room: float) -> dict[str, float]:
    """How far each rule stands beside its depth, so that bars do not cover each other."""
    middle = (len(rules) - 1) / 2
    return {rule: (number - middle) * room / (2 * max(middle, 1)) for number, rule in enumerate(rules)}


if __name__ == "__main__":
    sys.exit(study_figure("depth_gap", depth_gap_chart, "backprop in nets of two depths or more"))
