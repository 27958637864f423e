"""Each rule's gap to backprop in the same network, against the depth of the network."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.cells import failed_notes
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.study import Frames
from analysis.stats.depth import depth_gaps
from analysis.stats.seeds import scored_split
from analysis.text.study import SPLITS, interval_in_words


def depth_gap_chart(frames: Frames) -> Any | None:
    """Draw gaps to backprop against depth.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if the study has only one depth, or no backprop.

    Example:
        >>> depth_gap_chart(frames).save("depth_gap.html")  # doctest: +SKIP
    """
    gaps = depth_gaps(frames)
    if gaps.empty:
        return None
    split = SPLITS[scored_split(frames)]
    gaps = gaps.assign(depth=gaps["depth"].astype("int64"))
    rules = list(dict.fromkeys(gaps["rule"]))
    styles = cell_styles({rule: rule for rule in rules})
    legend = cell_legend({rule: rule for rule in rules})
    color, dash = cell_color(styles, legend, "rule"), cell_dash(styles, legend, "rule")
    depths = sorted(set(gaps["depth"]))
    room = 0.06 * (depths[-1] - depths[0])
    scale = alt.Scale(domain=[depths[0] - room, depths[-1] + room], nice=False)
    x = alt.X("at:Q", title="Layers of the network", scale=scale, axis=alt.Axis(values=depths, grid=False))
    gaps = gaps.assign(at=gaps["depth"] + gaps["rule"].map(_shifts(rules, room)))
    y = "Gap to bp in the same network (points)"
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color="#888888").encode(y="zero:Q")
    bars = (
        alt.Chart(gaps.dropna(subset="low")).mark_rule(strokeWidth=1.5).encode(x=x, y="low:Q", y2="high:Q", color=color)
    )
    line = (
        alt.Chart(gaps).mark_line(strokeWidth=2).encode(x=x, y=alt.Y("mean:Q", title=y), color=color, strokeDash=dash)
    )
    dots = alt.Chart(gaps).mark_point(filled=True, size=40, opacity=1).encode(x=x, y="mean:Q", color=color)
    caption = [f"final {split} error minus that of bp, paired by seed", interval_in_words(gaps["n"], "bar")]
    caption += failed_notes(frames, frames.study.cells)
    figure = (zero + bars + line + dots).properties(width=WIDTH, height=190)
    return figure.properties(title=title("Gap to backprop by depth", caption))


def _shifts(rules: list[str], room: float) -> dict[str, float]:
    """Return a horizontal offset per rule, so that bars do not overlap."""
    middle = (len(rules) - 1) / 2
    return {rule: (number - middle) * room / (2 * max(middle, 1)) for number, rule in enumerate(rules)}


SCRIPT = study_figure("depth_gap", depth_gap_chart, "backprop in networks of at least two depths")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
