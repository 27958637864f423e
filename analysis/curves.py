"""The comparison figure: error by epoch and cell, and below it every seed's error after the last epoch."""

from typing import Any

import altair as alt
import pandas as pd

from analysis.axes import ErrorAxis, percent
from analysis.frames import Frames
from analysis.legend import cell_colour, cell_dash, cell_legend
from analysis.seeds import diverged_counts, error_curves, final_errors, mean_interval, scored_split
from analysis.theme import WIDTH, Style, cell_styles, epoch_axis, title
from analysis.words import SPLITS, interval_in_words, legend_labels, seeds_in_words

ROWS = {"labelLimit": 110, "labelPadding": 6, "ticks": False, "domain": False}  # the legend has names in full


def curves_chart(frames: Frames) -> Any:
    """The figure as an Altair chart. It needs a finished or diverged run."""
    split = scored_split(frames)
    curves = error_curves(frames, split)
    counts = diverged_counts(frames.runs)
    labels = legend_labels(counts, list(frames.study.cells))
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in labels}
    name = f"{SPLITS[split].capitalize()} error"
    final = final_errors(curves)
    upper = _lines(percent(mean_interval(curves, ["cell", "epoch"], "error")), styles, labels, name)
    seeds, means = percent(final), percent(mean_interval(final, ["cell"], "error"))
    axis = ErrorAxis.over(seeds["error"], means, zero=False)
    lower = _last_epoch(seeds, means, axis, styles, name)
    words = _subtitle(counts, not axis.beyond(means).empty)
    chart = alt.vconcat(upper, lower, spacing=16, title=title(f"{name} by epoch", words))
    return chart.resolve_legend(color="independent", strokeDash="independent")


def _subtitle(counts: pd.DataFrame, cut: bool) -> list[str]:
    n = counts["n"]
    parts = [f"mean over {seeds_in_words(n)}", interval_in_words(n, "band and bar"), "ring: one seed"]
    parts += ["triangle: the bar goes on beyond the axis"] if cut else []
    return [*parts, "a diverged run counts at chance"] if counts["diverged"].any() else parts


def _lines(means: pd.DataFrame, styles: dict[str, Style], labels: dict[str, str], name: str) -> Any:
    axis = ErrorAxis.over(means["mean"], means, zero=True)
    x = epoch_axis(int(means["epoch"].max()), 10)
    colour = cell_colour(styles, cell_legend(labels))
    low, mean = axis.encode(alt.Y, "low", name), axis.encode(alt.Y, "mean", name)
    band = (
        alt.Chart(axis.cut(means))
        .mark_area(opacity=min(0.15, 0.9 / len(styles)))
        .encode(x=x, y=low, y2="high:Q", color=colour)
    )
    line = alt.Chart(means).mark_line(strokeWidth=2)
    line = line.encode(x=x, y=mean, color=colour, strokeDash=cell_dash(styles, cell_legend(labels)))
    return (band + line).properties(width=WIDTH, height=200)


def _last_epoch(seeds: pd.DataFrame, means: pd.DataFrame, axis: ErrorAxis, styles: dict[str, Style], name: str) -> Any:
    y = alt.Y("cell:N", title=None, sort=list(styles), axis=alt.Axis(**ROWS))
    low, error, mean = (axis.encode(alt.X, x, f"{name} after the last epoch") for x in ("low", "error", "mean"))
    shared = {"y": y, "color": cell_colour(styles, None)}
    bars = alt.Chart(axis.cut(means)).mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **shared)
    rings = alt.Chart(seeds).mark_point(size=30, strokeWidth=1.4, opacity=1, fill="white")
    ticks = alt.Chart(means).mark_tick(thickness=2.5, size=15, opacity=1)
    marks = bars + rings.encode(x=error, **shared) + ticks.encode(x=mean, **shared)
    if not (cut := axis.beyond(means)).empty:
        ends = alt.Chart(cut).mark_point(size=30, filled=True, opacity=1)
        marks += ends.encode(x=axis.encode(alt.X, "at", None), shape=alt.Shape("shape:N", scale=None), **shared)
    return marks.properties(width=WIDTH, height=alt.Step(19))
