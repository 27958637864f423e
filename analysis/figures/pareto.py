"""Error against compute of every trial of a search, with the Pareto front of each rule."""

import sys
from typing import Any

import altair as alt

from analysis.figures.script import search_figure
from analysis.figures.style.axes import ErrorAxis
from analysis.figures.style.legend import cell_color, cell_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.trials import Trials
from analysis.stats.seeds import percent
from analysis.stats.trials import pareto_front

PER_UNIT = 1e12  # floating point operations in a TFLOP


def pareto_chart(trials: Trials) -> Any | None:
    """Draw the error of each trial against its compute.

    A trial stopped early is shown with its error and compute at that epoch.

    Args:
        trials: The trials of a search.

    Returns:
        An Altair chart; None if no trial has counted operations.

    Example:
        >>> pareto_chart(trials).save("pareto.html")  # doctest: +SKIP
    """
    spent = trials.frame[trials.frame["state"].isin(["finished", "stopped"]) & (trials.frame["flops"] > 0)]
    if spent.empty:
        return None
    shown = percent(spent[["cell", "rule", "trial", "error"]]).assign(compute=spent["flops"] / PER_UNIT)
    best = pareto_front(shown)
    axis = ErrorAxis.for_errors(shown["error"], shown.assign(low=shown["error"], high=shown["error"]), zero=False)
    styles = cell_styles(dict(zip(shown["cell"], shown["rule"], strict=True)))
    color = cell_color(styles, cell_legend({cell: cell for cell in styles}))
    x = alt.X(
        "compute:Q",
        title="Training, mirror mode included (TFLOP)",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=5),
    )
    y = axis.encode(alt.Y, "error", "Validation error")
    dots = alt.Chart(shown).mark_point(filled=True, opacity=0.35, size=16).encode(x=x, y=y, color=color)
    line = alt.Chart(best).mark_line(interpolate="step-after", strokeWidth=1.5).encode(x=x, y=y, color=color)
    rings = alt.Chart(best).mark_point(size=50, strokeWidth=1.5, opacity=1).encode(x=x, y=y, color=color)
    caption = ["dot: one trial, at its end or where it was stopped", "ring and line: Pareto front of each rule"]
    drawn = (dots + line + rings).properties(width=WIDTH, height=220)
    return drawn.properties(title=title("Validation error against compute", caption))


SCRIPT = search_figure("pareto", pareto_chart, "trials with counted operations")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
