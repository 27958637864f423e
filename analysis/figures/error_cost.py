"""Final error against the total cost of each run, in each of the three units."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.axes import ErrorAxis, cost_size, cost_title
from analysis.figures.style.cells import cell_labels
from analysis.figures.style.legend import cell_color, cell_shape, dot_legend
from analysis.figures.style.theme import WIDTH, Style, cell_styles, title
from analysis.frames.study import Frames
from analysis.stats.costs import COSTS, mean_costs, run_costs
from analysis.stats.seeds import scored_split
from analysis.text.study import SPLITS

SPACING = 18  # pixels


def error_cost_chart(frames: Frames) -> Any | None:
    """Draw final errors against the total cost of runs.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if no counted run has an epoch.

    Example:
        >>> error_cost_chart(frames).save("error_cost.html")  # doctest: +SKIP
    """
    split = scored_split(frames)
    runs = run_costs(frames, split)
    if runs.empty:
        return None
    name = f"{SPLITS[split].capitalize()} error"
    means = mean_costs(runs)
    axis = ErrorAxis.for_errors(runs["error"], means, zero=False)
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in set(runs["cell"])}
    legend = dot_legend({cell: label for cell, label in cell_labels(frames).items() if cell in styles})
    panels = [_panel(runs, means, against, axis, styles, name, legend) for against in COSTS]
    caption = [
        "error after the last epoch; total cost, mirror samples and mirror mode included",
        "dot and bar: mean and 95 % t interval (at least 3 seeds)",
        "ring: one seed",
    ]
    figure = alt.hconcat(*panels, spacing=SPACING, title=title("Error against cost", caption))
    return figure.resolve_scale(color="shared", shape="shared")


def _panel(
    runs: pd.DataFrame,
    means: pd.DataFrame,
    against: str,
    axis: ErrorAxis,
    styles: dict[str, Style],
    name: str,
    legend: Any,
) -> Any:
    left = against == COSTS[0]
    size, divisor = cost_size(float(runs[against].max()), against)
    seeds = runs.assign(cost=runs[against] / divisor)[["cell", "seed", "cost", "error"]]
    dots = means.assign(cost=means[against] / divisor)[["cell", "cost", "mean", "low", "high", "n"]]
    least, most = float(seeds["cost"].min()), float(seeds["cost"].max())
    room = max(0.15 * (most - least), 0.05 * most)
    scale = alt.Scale(domain=[max(least - room, 0), most + room], nice=False)
    ticks = alt.Axis(tickCount=3, grid=False)
    text = (
        cost_title(against, size, small=True).replace(" (", "\n(").split("\n")
    )  # two lines, because the panel is narrow
    x = alt.X("cost:Q", title=text, scale=scale, axis=ticks)
    y, low, mean = (axis.encode(alt.Y, of, name if left else None, labels=left) for of in ("error", "low", "mean"))
    color, shape = cell_color(styles, legend), cell_shape(styles, legend)
    bars = alt.Chart(axis.clip(dots)).mark_rule(strokeWidth=1.5).encode(x=x, y=low, y2="high:Q", color=color)
    rings = alt.Chart(seeds).mark_point(size=22, strokeWidth=1.1, opacity=0.9, filled=False)
    filled = alt.Chart(dots).mark_point(size=60, filled=True, opacity=1)
    shared = {"x": x, "color": color, "shape": shape}
    marks = bars + rings.encode(y=y, **shared) + filled.encode(y=mean, **shared)
    return marks.properties(width=(WIDTH - 2 * SPACING) / 3, height=150)


SCRIPT = study_figure("error_cost", error_cost_chart, "a finished run")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
