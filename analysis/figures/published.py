"""The published error curves, for the comparison figure: overlaid on the same network, or in separate panels."""

from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.style.axes import ErrorAxis
from analysis.figures.style.legend import cell_color, cell_legend
from analysis.figures.style.panels import grid, heading, is_leftmost, width
from analysis.figures.style.theme import RULE_COLORS, Style, adjust_lightness, epoch_axis
from analysis.frames.study import Frames
from analysis.published import NETS, RULES, published_errors

DASH = [3, 1.5]

PALE = 0.35  # fraction of white mixed into the rule's color

BAND = 0.4  # opacity of the ±1 point band


def published_styles() -> dict[str, Style]:
    """Return the style of each published line, by its name in the legend."""
    return {published_label(rule): Style(adjust_lightness(RULE_COLORS[rule], PALE), DASH) for rule in RULES}


def published_label(rule: str) -> str:
    """Return the name of a rule's published line in the legend."""
    return f"{rule}, published"


def overlaid_lines(frames: Frames, models: list[str]) -> pd.DataFrame:
    """Return the published lines of those ``models`` that the study trained on ImageNet."""
    names = _overlaid_nets(frames, models)
    lines = _lines()
    return lines[lines["net"].isin(list(names.values()))].assign(
        model=lambda rows: rows["net"].map({net: model for model, net in names.items()})
    )


def empty_lines() -> pd.DataFrame:
    """Return an empty frame in the form of ``overlaid_lines``."""
    return _lines().iloc[:0].assign(model="")


def separate_panels(frames: Frames, models: list[str], named: bool) -> Any | None:
    """Return one panel per other published network, with a legend if ``named``; None if there is none."""
    there = _overlaid_nets(frames, models)
    nets = [net for net in NETS.values() if net not in there.values()]
    lines = _lines()
    panels = [_panel(lines, net, place, named) for place, net in enumerate(nets)]
    return grid(panels).resolve_scale(color="shared") if nets else None


def _overlaid_nets(frames: Frames, models: list[str]) -> dict[str, str]:
    cells = frames.study.cells.values()
    trained = {cell["model"]["name"] for cell in cells if cell["data"]["name"] == "imagenet"}
    return {model: NETS[model] for model in models if model in NETS and model in trained}


def _lines() -> pd.DataFrame:
    """Return one row per network, rule and epoch: net, cell, line, epoch, cost, mean, low, high."""
    found = published_errors().rename(columns={"model": "net", "error": "mean"})
    names = found["rule"].map(published_label)
    return found.assign(cell=names, line=names, cost=found["epoch"])


def _panel(lines: pd.DataFrame, net: str, place: int, named: bool) -> Any:
    here = lines[lines["net"] == net]
    axis = ErrorAxis(0, 100, log=False)
    x, side = epoch_axis(100, 5, field="cost"), is_leftmost(place)
    low, mean = (axis.encode(alt.Y, y, "Top-1 error" if side else None, labels=side) for y in ("low", "mean"))
    color = cell_color(published_styles(), _legend() if named else None, "line")
    band = alt.Chart(here).mark_area(opacity=BAND).encode(x=x, y=low, y2="high:Q", color=color)
    line = alt.Chart(here).mark_line(strokeWidth=0.8, strokeDash=DASH).encode(x=x, y=mean, color=color)
    label = heading(f"{net}, published", 2)
    return alt.layer(band, line, label).properties(width=width(2), height=150)


def _legend() -> Any:
    legend = cell_legend({line: line for line in published_styles()})
    legend.symbolDash = DASH
    return legend
