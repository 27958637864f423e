"""How forgiving each rule is: the share of the searched space within so many points of the rule's own best."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.trials import Trials
from analysis.stats.trials import near_shares
from analysis.tables.search import POINTS

MOST = 10.0  # points above the best that are shown


def forgiving_chart(trials: Trials) -> Any | None:
    """The figure as an Altair chart; None where no cell has two counted trials and a finished one."""
    shares = near_shares(trials)
    if shares.empty or shares.groupby("cell").size().max() < 2:
        return None
    # Equal errors are one step; a line ends at the right edge.
    shares = shares.groupby(["cell", "rule", "points"], sort=False)["share"].max().reset_index()
    ends = shares[shares["points"] <= MOST].groupby("cell", sort=False).tail(1).assign(points=MOST)
    shown = pd.concat([shares[shares["points"] <= MOST], ends])
    styles = cell_styles(dict(zip(shares["cell"], shares["rule"], strict=True)))
    legend = cell_legend({cell: cell for cell in styles})
    x = alt.X(
        "points:Q",
        title="Above the rule's own best (points)",
        scale=alt.Scale(domain=[0, MOST], nice=False),
        axis=alt.Axis(values=[0, *POINTS, MOST], grid=True),
    )
    y = alt.Y("share:Q", title="Share of trials as near (%)", scale=alt.Scale(domain=[0, 100]))
    line = alt.Chart(shown).mark_line(interpolate="step-after", strokeWidth=2)
    line = line.encode(x=x, y=y, color=cell_color(styles, legend), strokeDash=cell_dash(styles, legend))
    return line.properties(width=WIDTH, height=170, title=title("How forgiving each rule is", _said(trials)))


def _said(trials: Trials) -> list[str]:
    said = ["share of all trials that ran to their end, diverged ones at chance", "higher is more forgiving"]
    stopped = (trials.frame["state"] == "stopped").any()
    proposed = [] if trials.plan.independent else ["trials were not drawn evenly, so it is no share of the space"]
    return said + (["trials stopped early are left out, which flatters it"] if stopped else proposed)


SCRIPT = search_figure("forgiving", forgiving_chart, "a cell with two trials that ran to their end")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
