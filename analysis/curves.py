"""The comparison figure: error by rule, a panel a model, and below it every seed's error after the last epoch."""

from typing import Any

import altair as alt
import pandas as pd

from analysis.axes import ErrorAxis, percent
from analysis.costs import at_cost, cost_axis, cost_size
from analysis.frames import Frames
from analysis.legend import cell_colour, cell_dash, cell_legend
from analysis.lines import Lines, lines_of, models_of
from analysis.options import Options
from analysis.panels import grid, heading, leftmost, lowest, width
from analysis.published_curves import beside, empty_lines, overlaid, published_styles
from analysis.seeds import diverged_counts, error_curves, final_errors, mean_interval, scored_split
from analysis.theme import WIDTH, Style, epoch_axis, title
from analysis.words import SPLITS, interval_in_words, seeds_in_words

ROWS = {"labelLimit": 110, "labelPadding": 6, "ticks": False, "domain": False}  # the legend has names in full
PER = {"epochs": "epoch", "presentations": "presentations", "flops": "operations", "seconds": "time"}


def curves_chart(frames: Frames, options: Options = Options()) -> Any:  # noqa: B008 (it is frozen)
    """The figure as an Altair chart. It needs a finished or diverged run."""
    split = scored_split(frames)
    curves = error_curves(frames, split)
    lines = lines_of(frames)
    name = f"{SPLITS[split].capitalize()} error"
    means = at_cost(percent(mean_interval(curves, ["cell", "epoch"], "error")), frames, options.against)
    upper = _upper(frames, lines.named(means), lines, name, options)
    final = final_errors(curves)
    seeds, ends = percent(final), percent(mean_interval(final, ["cell"], "error"))
    axis = ErrorAxis.over(seeds["error"], ends, zero=False)
    lower = _last_epoch(lines.named(seeds), lines.named(ends), axis, lines.styles, name)
    words = _subtitle(diverged_counts(frames.runs), not axis.beyond(ends).empty, options.published)
    chart = alt.vconcat(upper, lower, spacing=16, title=title(f"{name} by {PER[options.against]}", words))
    return chart.resolve_legend(color="independent", strokeDash="independent")


def _subtitle(counts: pd.DataFrame, cut: bool, published: bool) -> list[str]:
    n = counts["n"]
    parts = [f"mean over {seeds_in_words(n)}", interval_in_words(n, "band and bar"), "ring: one seed"]
    parts += ["triangle: the bar goes on beyond the axis"] if cut else []
    parts += ["a diverged run counts at chance"] if counts["diverged"].any() else []
    there = (
        "dashed and pale: published (Akrout et al. 2019), single runs on ImageNet, ±1 point (2,048 pictures a point)"
    )
    return [*parts, there] if published else parts


def _upper(frames: Frames, means: pd.DataFrame, lines: Lines, name: str, options: Options) -> Any:
    """A panel a model, and below them the published nets that none of them is, where they are wanted."""
    models = _models(frames, lines)
    there = overlaid(frames, list(models)) if options.published else empty_lines()
    laid = published_styles() if len(there) else {}
    axis = ErrorAxis.over(pd.concat([means["mean"], there["mean"]]), means, zero=True)
    scaled, x = _abscissa(means, options.against)
    legend = cell_legend(lines.labels | {line: line for line in laid})
    panels = []
    for place, (model, cells) in enumerate(models.items()):
        drawn = there[there["model"] == model], scaled[scaled["cell"].isin(cells)]
        panels.append(_panel(drawn, axis, x, lines.styles | laid, legend, name, model, place, len(models)))
    own = grid(panels).resolve_scale(color="shared") if len(panels) > 1 else panels[0]
    rest = beside(frames, list(models), named=not laid) if options.published else None
    if rest is None:
        return own
    return alt.vconcat(own, rest, spacing=14).resolve_scale(color="independent", strokeDash="independent")


def _models(frames: Frames, lines: Lines) -> dict[str, list[str]]:
    """The cells that are drawn, by model, in the study's order."""
    models: dict[str, list[str]] = {}
    for cell, model in models_of(frames).items():
        if cell in lines.of:
            models.setdefault(model, []).append(cell)
    return models


def _abscissa(means: pd.DataFrame, against: str) -> tuple[pd.DataFrame, Any]:
    """The means with ``cost`` in the axis' unit, and a function from (named, small) to the axis."""
    if against == "epochs":
        last = int(means["epoch"].max())
        return means, lambda named, small: epoch_axis(last, 5 if small else 10, named, field="cost")
    size, divisor = cost_size(float(means["cost"].max()), against)
    scaled = means.assign(cost=means["cost"] / divisor)
    return scaled, lambda named, small: cost_axis("cost", against, size, named, small)


def _panel(
    drawn: tuple[pd.DataFrame, pd.DataFrame],
    axis: ErrorAxis,
    abscissa: Any,
    styles: dict[str, Style],
    legend: Any,
    name: str,
    model: str,
    place: int,
    panels: int,
) -> Any:
    """One model's lines and bands, published ones below; axes are named along the left and the bottom."""
    x = abscissa(lowest(place, panels), panels > 1)
    side = leftmost(place)
    low, mean = (axis.encode(alt.Y, y, name if side else None, labels=side) for y in ("low", "mean"))
    colour = cell_colour(styles, legend, "line")
    dash = cell_dash(styles, legend if panels == 1 else None, "line")  # legends of several panels do not merge
    marks = []
    for frame, stroke in zip(drawn, (1, 2), strict=True):
        band = alt.Chart(axis.cut(frame)).mark_area(opacity=min(0.15, 0.9 / len(styles)))
        line = alt.Chart(frame).mark_line(strokeWidth=stroke)
        if len(frame):
            marks.append(band.encode(x=x, y=low, y2="high:Q", color=colour))
            marks.append(line.encode(x=x, y=mean, color=colour, strokeDash=dash))
    tall = 200 if panels == 1 else 110
    return alt.layer(*marks, heading(model, panels)).properties(width=width(panels), height=tall)


def _last_epoch(seeds: pd.DataFrame, means: pd.DataFrame, axis: ErrorAxis, styles: dict[str, Style], name: str) -> Any:
    y = alt.Y("cell:N", title=None, sort=list(dict.fromkeys(means["cell"])), axis=alt.Axis(**ROWS))
    low, error, mean = (axis.encode(alt.X, x, f"{name} after the last epoch") for x in ("low", "error", "mean"))
    shared = {"y": y, "color": cell_colour(styles, None, "line")}
    bars = alt.Chart(axis.cut(means)).mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **shared)
    rings = alt.Chart(seeds).mark_point(size=30, strokeWidth=1.4, opacity=1, fill="white")
    ticks = alt.Chart(means).mark_tick(thickness=2.5, size=15, opacity=1)
    marks = bars + rings.encode(x=error, **shared) + ticks.encode(x=mean, **shared)
    if not (cut := axis.beyond(means)).empty:
        ends = alt.Chart(cut).mark_point(size=30, filled=True, opacity=1)
        marks += ends.encode(x=axis.encode(alt.X, "at", f"{name} after the last epoch"), shape=alt.Shape("shape:N", scale=None), **shared)
    return marks.properties(width=WIDTH, height=alt.Step(19))
