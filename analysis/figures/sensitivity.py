"""Sensitivity to settings: the percentage of trials near each rule's own best trial."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.trials import Trials
from analysis.stats.trials import shares_near_best
from analysis.tables.search import POINTS

MAX_POINTS = 10.0  # end of the axis, points above the best


def sensitivity_chart(trials: Trials) -> Any | None:
    """Draw the percentage of trials near the best one.

    Args:
        trials: The trials of a search.

    Returns:
        An Altair chart; None if no cell has a finished trial and at least two counted ones.

    Example:
        >>> sensitivity_chart(trials).save("sensitivity.html")  # doctest: +SKIP
    """
    shares = shares_near_best(trials)
    if shares.empty or shares.groupby("cell").size().max() < 2:
        return None
    # Trials of equal error form one step, and each line extends to the right edge.
    shares = shares.groupby(["cell", "rule", "points"], sort=False)["share"].max().reset_index()
    ends = shares[shares["points"] <= MAX_POINTS].groupby("cell", sort=False).tail(1).assign(points=MAX_POINTS)
    shown = pd.concat([shares[shares["points"] <= MAX_POINTS], ends])
    styles = cell_styles(dict(zip(shares["cell"], shares["rule"], strict=True)))
    legend = cell_legend({cell: cell for cell in styles})
    x = alt.X(
        "points:Q",
        title="Error above the rule's own best (points)",
        scale=alt.Scale(domain=[0, MAX_POINTS], nice=False),
        axis=alt.Axis(values=[0, *POINTS, MAX_POINTS], grid=True),
    )
    y = alt.Y("share:Q", title="Trials within this distance (%)", scale=alt.Scale(domain=[0, 100]))
    line = alt.Chart(shown).mark_line(interpolate="step-after", strokeWidth=2)
    line = line.encode(x=x, y=y, color=cell_color(styles, legend), strokeDash=cell_dash(styles, legend))
    return line.properties(width=WIDTH, height=170, title=title("Sensitivity to settings", _caption(trials)))


def _caption(trials: Trials) -> list[str]:
    caption = ["percentage of finished and diverged trials; diverged ones with chance error", "higher: less sensitive"]
    stopped = (trials.frame["state"] == "stopped").any()
    proposed = (
        []
        if trials.plan.independent
        else ["trials were not sampled uniformly, so it is not a fraction of the search space"]
    )
    return caption + (["trials stopped early are excluded, which is optimistic"] if stopped else proposed)


SCRIPT = search_figure("sensitivity", sensitivity_chart, "a cell with at least two finished or diverged trials")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
