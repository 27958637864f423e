"""The comparison figure: error by epoch or cost, one panel per model, and below the final error of every seed.

A model with many cells has one panel per rule.
"""

import sys
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.options import Options
from analysis.figures.published import BAND, empty_lines, overlaid_lines, published_styles, separate_panels
from analysis.figures.script import study_figure
from analysis.figures.style.axes import ErrorAxis, cost_axis, cost_size
from analysis.figures.style.cells import MAX_LINES, Lines, lines_of, models_of
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.panels import grid, heading, is_leftmost, is_lowest, width
from analysis.figures.style.theme import WIDTH, Style, epoch_axis, title
from analysis.frames.study import Frames
from analysis.stats.costs import with_cost
from analysis.stats.seeds import (
    chance_errors,
    curve_split,
    diverged_counts,
    error_curves,
    final_errors,
    mean_interval,
    percent,
    scored_split,
    shared_epochs,
)
from analysis.text.study import SPLITS, interval_in_words, seeds_in_words

ROWS = {"labelLimit": 110, "labelPadding": 6, "ticks": False, "domain": False}  # the legend shows full names

CHANCE_COLOR = "#999999"

COST_NAMES = {"epochs": "epoch", "presentations": "presentations", "flops": "FLOPs", "seconds": "time"}


@dataclass(frozen=True)
class CurvePanel:
    """A panel and its cells, in the study's order."""

    name: str
    model: str
    rule: str  # empty for a panel with all rules
    cells: list[str]

    @property
    def has_bands(self) -> bool:
        """Whether bands can be distinguished."""
        return len(self.cells) <= MAX_LINES

    def select(self, means: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the study's curves in this panel."""
        return means[means["cell"].isin(self.cells)]

    def select_published(self, published: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the published curves in this panel."""
        return published[(published["model"] == self.model) & (published["rule"].isin([self.rule]) | (not self.rule))]


def curve_panels(frames: Frames, lines: Lines) -> list[CurvePanel]:
    """Return the panels of the cells that have a line, in the study's order."""
    models: dict[str, list[str]] = {}
    for cell, model in models_of(frames).items():
        if cell in lines.by_cell:
            models.setdefault(model, []).append(cell)
    return [panel for model, cells in models.items() for panel in _panels(frames, model, cells, len(models))]


def bands_in_words(panels: list[CurvePanel]) -> list[str]:
    """Return which panels have no bands; empty if all have."""
    return [] if all(panel.has_bands for panel in panels) else [f"no bands in panels with more than {MAX_LINES} lines"]


def _panels(frames: Frames, model: str, cells: list[str], models: int) -> list[CurvePanel]:
    if len(cells) <= MAX_LINES:
        return [CurvePanel(model, model, "", cells)]
    rules: dict[str, list[str]] = {}
    for cell in cells:
        rules.setdefault(str(frames.study.cells[cell]["rule"]["name"]), []).append(cell)
    named = f"{model}, " if models > 1 else ""
    return [CurvePanel(f"{named}{rule}", model, rule, mine) for rule, mine in rules.items()]


def curves_chart(frames: Frames, options: Options = Options()) -> Any:  # noqa: B008 (it is frozen)
    """Draw error curves, and the final error of every seed.

    Args:
        frames: The study's frames, with at least one finished or diverged run.
        options: What the curves are drawn against, and whether to add published curves.

    Returns:
        An Altair chart.

    Example:
        >>> curves_chart(frames).save("curves.html")  # doctest: +SKIP
    """
    by_epoch, at_end = curve_split(frames), scored_split(frames)
    curves = error_curves(frames, by_epoch)
    lines = lines_of(frames)
    name, final_name = (f"{SPLITS[split].capitalize()} error" for split in (by_epoch, at_end))
    shared = shared_epochs(curves)
    means = with_cost(percent(mean_interval(shared, ["cell", "epoch"], "error")), frames, options.against)
    panels = curve_panels(frames, lines)
    upper = _upper(frames, lines.add_to(means), lines, panels, name, options)
    final = final_errors(error_curves(frames, at_end))
    seeds, ends = percent(final), percent(mean_interval(final, ["cell"], "error"))
    axis = ErrorAxis.for_errors(seeds["error"], ends, zero=False)
    lower = _last_epoch(lines.add_to(seeds), lines.add_to(ends), axis, lines.styles, final_name)
    words = _subtitle(diverged_counts(frames.runs), panels, not axis.clipped_ends(ends).empty, options.published)
    words += ["a line ends where its shortest run ends"] if len(shared) < len(curves) else []
    words += ["test images are scored after the last epoch only"] * (by_epoch != at_end)
    words += ["dotted gray: chance (1 − 1/classes)"] * bool(chance_errors(frames.runs))
    chart = alt.vconcat(upper, lower, spacing=16, title=title(f"{name} by {COST_NAMES[options.against]}", words))
    return chart.resolve_legend(color="independent", strokeDash="independent")


def _subtitle(counts: pd.DataFrame, panels: list[CurvePanel], cut: bool, published: bool) -> list[str]:
    n, marks = counts["n"], "band and bar" if any(panel.has_bands for panel in panels) else "bar"
    parts = [f"mean over {seeds_in_words(n)}", interval_in_words(n, marks), "ring: one seed"]
    parts += bands_in_words(panels)
    parts += ["triangle: the bar extends beyond the axis"] if cut else []
    parts += ["diverged runs count with chance error"] if counts["diverged"].any() else []
    there = (
        "dashed and pale: published (Akrout et al. 2019), single runs on ImageNet, ±1 point (2,048 images per point)"
    )
    return [*parts, there] if published else parts


def _upper(
    frames: Frames, means: pd.DataFrame, lines: Lines, panels: list[CurvePanel], name: str, options: Options
) -> Any:
    """Return the panels and, on request, panels of published networks that the study does not contain."""
    models = list(dict.fromkeys(panel.model for panel in panels))
    there = overlaid_lines(frames, models) if options.published else empty_lines()
    laid = published_styles() if len(there) else {}
    chance = {cell: 100 * error for cell, error in chance_errors(frames.runs).items()}
    drawn_errors = pd.concat([means["mean"], there["mean"], pd.Series(chance, dtype="float64")])
    axis = ErrorAxis.for_errors(drawn_errors, means, zero=True)
    scaled, x = _abscissa(means, options.against)
    legend = cell_legend(lines.labels | {line: line for line in laid})
    plots = []
    for place, panel in enumerate(panels):
        drawn = panel.select_published(there), panel.select(scaled)
        errors = {chance[cell] for cell in panel.cells if cell in chance}
        plots.append(_panel(drawn, errors, axis, x, lines.styles | laid, legend, name, panel, place, len(panels)))
    own = grid(plots).resolve_scale(color="shared", strokeDash="shared") if len(plots) > 1 else plots[0]
    rest = separate_panels(frames, models, named=not laid) if options.published else None
    if rest is None:
        return own
    return alt.vconcat(own, rest, spacing=14).resolve_scale(color="independent", strokeDash="independent")


def _abscissa(means: pd.DataFrame, against: str) -> tuple[pd.DataFrame, Any]:
    """Return the means with ``cost`` in the unit of the axis, and a function from (named, small) to the axis."""
    if against == "epochs":
        last = int(means["epoch"].max())
        return means, lambda named, small: epoch_axis(last, 5 if small else 10, named, field="cost")
    size, divisor = cost_size(float(means["cost"].max()), against)
    scaled = means.assign(cost=means["cost"] / divisor)
    return scaled, lambda named, small: cost_axis("cost", against, size, named, small)


def _panel(
    drawn: tuple[pd.DataFrame, pd.DataFrame],
    chance: set[float],
    axis: ErrorAxis,
    abscissa: Any,
    styles: dict[str, Style],
    legend: Any,
    name: str,
    panel: CurvePanel,
    place: int,
    panels: int,
) -> Any:
    """Return one panel; axis titles appear only at the left and at the bottom."""
    x = abscissa(is_lowest(place, panels), panels > 1)
    side = is_leftmost(place)
    low, mean, guessed = (axis.encode(alt.Y, y, name, labels=side) for y in ("low", "mean", "chance"))
    if panels > 1:  # the full title is longer than the axis
        short = f"Error (%{', log' if axis.log else ''})" if side else None
        low, mean, guessed = low.title(short), mean.title(short), guessed.title(short)
    color = cell_color(styles, legend, "line")
    dash = cell_dash(styles, legend, "line")
    marks = _chance_lines(chance, guessed)
    for frame, stroke in zip(drawn, (1, 2), strict=True):
        opacity = BAND if stroke == 1 else min(0.15, 0.9 / max(len(panel.cells), 1))
        band = alt.Chart(axis.clip(frame)).mark_area(opacity=opacity)
        line = alt.Chart(frame).mark_line(strokeWidth=stroke)
        if len(frame) and panel.has_bands:
            marks.append(band.encode(x=x, y=low, y2="high:Q", color=color))
        if len(frame):
            marks.append(line.encode(x=x, y=mean, color=color, strokeDash=dash))
    tall = 200 if panels == 1 else 110
    return alt.layer(*marks, heading(panel.name, panels)).properties(width=width(panels), height=tall)


def _chance_lines(errors: set[float], y: Any) -> list[Any]:
    """Return a line at each error of guessing, to be drawn below the curves. Its title is theirs, or they lose it."""
    lines = alt.Chart(pd.DataFrame({"chance": sorted(errors)})).mark_rule(color=CHANCE_COLOR, strokeDash=[2, 2])
    return [lines.encode(y=y)] if errors else []


def _last_epoch(seeds: pd.DataFrame, means: pd.DataFrame, axis: ErrorAxis, styles: dict[str, Style], name: str) -> Any:
    y = alt.Y("cell:N", title=None, sort=list(dict.fromkeys(means["cell"])), axis=alt.Axis(**ROWS))
    text = f"{name} after the last epoch"
    low, error, mean, at = (axis.encode(alt.X, x, text) for x in ("low", "error", "mean", "at"))
    shared = {"y": y, "color": cell_color(styles, None, "line")}
    bars = alt.Chart(axis.clip(means)).mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **shared)
    rings = alt.Chart(seeds).mark_point(size=30, strokeWidth=1.4, opacity=1, fill="white")
    ticks = alt.Chart(means).mark_tick(thickness=2.5, size=15, opacity=1)
    marks = bars + rings.encode(x=error, **shared) + ticks.encode(x=mean, **shared)
    if not (cut := axis.clipped_ends(means)).empty:
        ends = alt.Chart(cut).mark_point(size=30, filled=True, opacity=1)
        marks += ends.encode(x=at, shape=alt.Shape("shape:N", scale=None), **shared)
    return marks.properties(width=WIDTH, height=alt.Step(19))


SCRIPT = study_figure("curves", curves_chart, "a finished run", "against", "published")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
