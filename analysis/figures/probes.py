"""Figures of ``nowt probe`` results: each metric by epoch, and by layer at the last epoch."""

import sys
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.options import Options
from analysis.figures.script import FigureScript, frames_of
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.theme import WIDTH, Style, cell_styles, epoch_axis, title
from analysis.frames.probes import Probe, read_probes
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan
from analysis.frames.study import Frames
from analysis.stats.seeds import mean_interval
from analysis.text.study import SPLITS, interval_in_words, seeds_in_words
from nowt.core.formatting import counted
from nowt.evaluation.probes.results import WHOLE_NETWORK

TITLES = {  # title and axis title of the built-in metrics
    "gradient_cosine": ("Agreement of the gradient with backprop", "Cosine to backprop's gradient of W"),
    "weight_change": ("Change of W since initialization", "Norm of the change relative to the initial W"),
    "cka": ("Similarity of layer outputs to {against}", "Linear CKA to {against}, same seed"),
}

MAX_MARKED = 12  # largest number of epochs or layers that are marked with points


def probe_figures(store: Path, frames: Frames) -> Iterator[tuple[str, str, Any | None]]:
    """Yield name, caption and chart of each metric's figure; the chart of a metric that was not measured is None.

    Raises ValueError if a results file cannot be read, naming the line.
    """
    found = {probe.metric: probe for probe in read_probes(store, frames)}
    for metric in dict.fromkeys([*TITLES, *found]):
        probe = found.get(metric)
        caption = _named(metric, probe.settings.against)[0] if probe else metric
        yield f"probe_{metric}", caption, probe_chart(probe, frames) if probe else None


def probe_chart(probe: Probe, frames: Frames) -> Any:
    """Draw the figure of one metric.

    Args:
        probe: The metric, from ``read_probes``.
        frames: The study's frames.

    Returns:
        An Altair chart.

    Example:
        >>> probe_chart(probe, frames).save("probes.html")  # doctest: +SKIP
    """
    cells = set(probe.values["cell"])
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in cells}
    heading, axis = _named(probe.metric, probe.settings.against)
    names = {WHOLE_NETWORK: axis}
    legends = chain([cell_legend({cell: cell for cell in styles})], repeat(None))  # one legend, in the first panel
    curves = zip(probe.curves.items(), legends, strict=False)
    panels = [_curve(probe, rows, styles, names.get(name, name), legend) for (name, rows), legend in curves]
    panels += [] if probe.layers.empty else [_by_layer(probe, styles, axis)]
    chart = alt.vconcat(*panels, spacing=16, title=title(heading, _subtitle(probe)))
    return chart.resolve_legend(color="independent", strokeDash="independent")


def _named(metric: str, against: str) -> tuple[str, str]:
    heading, axis = TITLES.get(metric, (metric, metric))
    return heading.format(against=against), axis.format(against=against)


def _subtitle(probe: Probe) -> list[str]:
    n = probe.values.groupby("cell")["seed"].nunique()
    own = probe.layers.empty or (probe.values["layer"] == WHOLE_NETWORK).any()
    images = counted(probe.settings.images, f"{SPLITS.get(probe.settings.split, 'training')} image")
    measured_on = [] if probe.metric == "weight_change" else [images]
    marks = "band" if probe.epochs > 1 else "bar" if probe.layers.empty else "bar and band"
    parts = [f"mean over {seeds_in_words(n)}", interval_in_words(n, marks), *measured_on]
    return parts if own else [*parts, "upper panel: mean over layers"]


def _curve(probe: Probe, rows: pd.DataFrame, styles: dict[str, Style], axis: str, legend: Any) -> Any:
    """Return the panel of one number by epoch; if there is only one epoch, by cell."""
    if probe.epochs == 1:
        return _at_one_epoch(rows, styles, axis)
    means = mean_interval(rows, ["cell", "epoch"], "value")
    x = epoch_axis(int(means["epoch"].max()), 10)
    return _lines(means, x, axis, styles, legend).properties(height=180)


def _by_layer(probe: Probe, styles: dict[str, Style], axis: str) -> Any:
    """Return the panel of each layer's number at the last epoch."""
    means = mean_interval(probe.layers, ["cell", "depth"], "value").assign(layer_number=lambda rows: rows["depth"] + 1)
    last = sorted(set(probe.layers["epoch"]))
    when = f"after epoch {last[0]}" if len(last) == 1 else "after the last epoch"
    last_layer = int(means["depth"].max()) + 1
    ticks = alt.Axis(tickCount=min(last_layer, 10), tickMinStep=1, grid=False, format="d")
    scale = alt.Scale(domain=[1, last_layer], nice=False)
    x = alt.X("layer_number:Q", title=f"Layer, from input to output, {when}", scale=scale, axis=ticks)
    legend = (
        cell_legend({cell: cell for cell in styles}) if probe.epochs == 1 else None
    )  # otherwise the first panel has it
    return _lines(means, x, axis, styles, legend).properties(height=150)


def _lines(means: pd.DataFrame, x: Any, axis: str, styles: dict[str, Style], legend: Any) -> Any:
    """Return lines with bands; intervals that extend far beyond the means are clipped."""
    low, high = float(means["mean"].min()), float(means["mean"].max())
    room = 0.35 * (high - low) or 0.1 * abs(high) or 1.0
    near = means["low"].clip(lower=low - room).min(), means["high"].clip(upper=high + room).max()
    ends = [low if pd.isna(near[0]) else min(low, near[0]), high if pd.isna(near[1]) else max(high, near[1])]
    scale = alt.Scale(domain=ends, nice=True, zero=False)
    color = cell_color(styles, legend)
    shared = {"x": x, "color": color}
    y = alt.Y("mean:Q", title=axis, scale=scale)
    band = alt.Chart(means[means["low"].notna()]).mark_area(opacity=min(0.15, 0.9 / len(styles)), clip=True)
    band = band.encode(y=alt.Y("low:Q", title=axis, scale=scale), y2="high:Q", **shared)
    line = alt.Chart(means[means["mean"].notna()]).mark_line(strokeWidth=2)
    drawn = band + line.encode(y=y, strokeDash=cell_dash(styles, legend), **shared)
    if means.groupby("cell").size().max() <= MAX_MARKED:
        drawn += (
            alt.Chart(means[means["mean"].notna()]).mark_point(size=22, filled=True, opacity=1).encode(y=y, **shared)
        )
    return drawn.properties(width=WIDTH)


def _at_one_epoch(seeds: pd.DataFrame, styles: dict[str, Style], axis: str) -> Any:
    """Return one row per cell for a single epoch: every seed, their mean and its interval."""
    means = mean_interval(seeds, ["cell"], "value")
    x = {"title": f"{axis}, after epoch {int(seeds['epoch'].max())}", "scale": alt.Scale(zero=False, nice=True)}
    y = alt.Y("cell:N", title=None, sort=list(styles), axis=alt.Axis(ticks=False, domain=False, labelPadding=6))
    shared = {"y": y, "color": cell_color(styles, None)}
    bars = alt.Chart(means[means["low"].notna()]).mark_rule(strokeWidth=2)
    rings = alt.Chart(seeds).mark_point(size=30, strokeWidth=1.4, opacity=1, fill="white")
    ticks = alt.Chart(means).mark_tick(thickness=2.5, size=15, opacity=1)
    marks = bars.encode(x=alt.X("low:Q", **x), x2="high:Q", **shared)
    marks += rings.encode(x=alt.X("value:Q", **x), **shared) + ticks.encode(x=alt.X("mean:Q", **x), **shared)
    return marks.properties(width=WIDTH, height=alt.Step(19))


def _drawn(store: Path, plan: StudyPlan | SearchPlan, options: Options) -> Iterator[tuple[str, Any | None]]:
    for name, _, chart in probe_figures(store, frames_of("probes", store, plan)):
        yield name, chart


SCRIPT = FigureScript("probes", _drawn, "a metric that `nowt probe` measured on its finished runs")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
