"""Tuning curves: the best error of each cell against the budget spent, together and with confidence bands."""

import math
import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.axes import ErrorAxis
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.panels import grid, heading, is_leftmost, is_lowest, width
from analysis.figures.style.theme import WIDTH, Style, cell_styles, title
from analysis.frames.trials import Trials
from analysis.stats.seeds import diverged_counts, percent
from analysis.stats.tuning import tuning_curves
from analysis.text.search import missing_band_reason
from analysis.text.study import legend_labels

HEIGHT = 180  # pixels

OTHERS = "#c4c4c4"

THINNEST, BROADEST = 1.5, 5.0  # pixels; coinciding curves differ in width

UNITS = {"trials": "Trials", "presentations": "Presentations", "flops": "FLOPs", "seconds": "Seconds of training"}

STEP = {"interpolate": "step-after"}  # the best of n draws changes at a draw, not between two draws


def tuning_chart(trials: Trials) -> Any:
    """Draw tuning curves.

    Args:
        trials: The trials of a search, with at least one finished or diverged trial.

    Returns:
        An Altair chart.

    Example:
        >>> tuning_chart(trials).save("tuning.html")  # doctest: +SKIP
    """
    curves = percent(tuning_curves(trials))
    curves = curves[curves["spent"] > 0]  # a log scale has no 0, and logs of earlier versions may lack costs
    counts = diverged_counts(trials.frame)
    labels = legend_labels(
        counts.assign(at_chance=0, too_few_images=0), list(trials.plan.cells)
    )  # the notes name such trials
    rules = dict(zip(trials.frame["cell"], trials.frame["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in labels}
    axis = _spent_axis(curves, trials.plan.unit)
    parts = [] if trials.independent and len(styles) == 1 else [_shared_panel(curves, axis, styles)]
    if trials.independent:
        parts.append(_panel_per_cell(curves, axis, styles, labels))
    heading = title("Tuning curves", _subtitle(trials, counts))
    figure = alt.vconcat(*parts, spacing=24, title=heading)
    return figure.resolve_scale(color="independent", strokeDash="independent")


def _subtitle(trials: Trials, counts: pd.DataFrame) -> list[str]:
    chance = ["diverged trials count with chance error"] if counts["diverged"].any() else []
    several = ["coinciding curves differ in width"] * (len(counts) > 1)
    if trials.independent:
        return [
            "median of the best of n draws",
            *several,
            "band: 95 %, simultaneous over n, paler without a lower bound",
            *chance,
        ]
    return [
        "best error so far of finished and diverged trials",
        f"no band, because {missing_band_reason(trials)}",
        *several,
        *chance,
    ]


def _shared_panel(curves: pd.DataFrame, spent: Any, styles: dict[str, Style]) -> Any:
    """Return all curves in one plot, later ones thinner and on top; a dot marks the last trial."""
    axis = ErrorAxis.for_errors(curves["error"], curves.iloc[:0], zero=True)  # without bands
    legend = cell_legend({cell: cell for cell in styles})
    shared = {"x": spent, "y": axis.encode(alt.Y, "error", "Best validation error")}
    widths = _widths(list(styles))
    color, dash = cell_color(styles, legend), cell_dash(styles, legend)
    lines = [
        alt.Chart(curves[curves["cell"] == cell])
        .mark_line(strokeWidth=wide, **STEP)
        .encode(**shared, color=color, strokeDash=dash)
        for cell, wide in widths.items()
    ]
    end = alt.Chart(_last(curves)).mark_point(filled=True, size=24, opacity=1)
    return alt.layer(*lines, end.encode(**shared, color=color)).properties(width=WIDTH, height=HEIGHT)


def _widths(cells: list[str]) -> dict[str, float]:
    """Return the line width of each cell in pixels, decreasing."""
    step = min(1.2, (BROADEST - THINNEST) / max(len(cells) - 1, 1))
    return {cell: THINNEST + step * (len(cells) - 1 - place) for place, cell in enumerate(cells)}


def _panel_per_cell(curves: pd.DataFrame, spent: Any, styles: dict[str, Style], labels: dict[str, str]) -> Any:
    axis = ErrorAxis.for_errors(curves["error"], curves, zero=True)
    spents = [spent if is_lowest(place, len(styles)) else spent.title(None) for place in range(len(styles))]
    panels = [_panel(curves, x, axis, place, styles, labels) for place, x in enumerate(spents)]
    return grid(panels)


def _panel(
    curves: pd.DataFrame, x: Any, axis: ErrorAxis, place: int, styles: dict[str, Style], labels: dict[str, str]
) -> Any:
    """Return one cell's curve with its band, in front of the other cells' curves."""
    cell, title = list(styles)[place], "Error (%, log)" if axis.log else "Error (%)"
    side = is_leftmost(place)
    low, error = (axis.encode(alt.Y, y, None, labels=side).title(title if side else None) for y in ("low", "error"))
    here, others = curves[curves["cell"] == cell], curves[curves["cell"] != cell]
    color = styles[cell].color
    behind = alt.Chart(others).mark_line(strokeWidth=1, color=OTHERS, **STEP).encode(x=x, y=error, detail="cell:N")
    bands = [
        alt.Chart(axis.clip(part)).mark_area(opacity=opacity, color=color, **STEP).encode(x=x, y=low, y2="high:Q")
        for part, opacity in zip(_bounded(here), (0.28, 0.1), strict=True)
    ]
    line = alt.Chart(here).mark_line(strokeWidth=2, color=color, **STEP).encode(x=x, y=error)
    end = alt.Chart(_last(here)).mark_point(filled=True, size=24, opacity=1, color=color).encode(x=x, y=error)
    panel = alt.layer(behind, *bands, line, end, heading(labels[cell], len(styles)))
    return panel.properties(width=width(len(styles)), height=96 if len(styles) > 1 else HEIGHT)


def _bounded(curve: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a curve into the part whose band has a lower bound above 0, and the rest."""
    bounded = curve["low"] > 0
    within, rest = curve[bounded], curve[~bounded]
    # The band extends to the next draw, where the paler one begins.
    return pd.concat([within, within.tail(1).assign(spent=rest["spent"].min())]) if len(rest) else within, rest


def _last(curves: pd.DataFrame) -> pd.DataFrame:
    return curves.groupby("cell").tail(1)


def _spent_axis(curves: pd.DataFrame, unit: str) -> Any:
    """Return the logarithmic axis of the budget."""
    most = curves["spent"].max()
    least = 1 if unit == "trials" else curves["spent"].min()
    scale = alt.Scale(type="log", base=2, domain=[least, max(most, 2 * least)], nice=False)
    axis = alt.Axis(values=_ticks(least, most, unit), grid=False, format="d" if unit == "trials" else "~s")
    return alt.X("spent:Q", title=f"{UNITS[unit]} (log scale)", scale=scale, axis=axis)


def _ticks(least: float, most: float, unit: str) -> list[float]:
    """Return powers of two for trials, and 1, 2 and 5 per decade for other units."""
    if unit == "trials":
        return [2.0**k for k in range(int(most).bit_length())]
    decades = range(math.floor(math.log10(least)), math.floor(math.log10(most)) + 1)
    return [n * 10.0**k for k in decades for n in (1, 2, 5) if least <= n * 10.0**k <= most]


SCRIPT = search_figure("tuning", tuning_chart, "a finished trial")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
