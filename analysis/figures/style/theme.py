"""How figures look: fonts, sizes, and for each rule one color that color-blind readers can tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any
from zlib import crc32

import altair as alt

# vl-convert carries Liberation Sans, as wide as Arial. It draws nothing in a family that it cannot find.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

WIDTH = 300  # pixels of a plot; with its axis a figure fits a column of 3.4 inches at 7 points

LETTERS = 60  # of the text under a title, in a plot's width

INK, FAINT = "#222222", "#e4e4e4"

PIXELS = 4  # of a PNG, for one of the figure

PER_INCH = 113  # pixels of the figure: text of 11 pixels is printed at 7 points

# Okabe and Ito, "Color universal design" (2008); the spare ones are from Tol, "Colour schemes" (2021).
RULE_COLOURS = {
    "bp": "#222222",
    "fa": "#d55e00",
    "ss": "#e69f00",
    "wm": "#009e73",
    "kp": "#0072b2",
    "sham": "#cc79a7",
}

SPARE_COLOURS = ("#56b4e9", "#882255", "#999933", "#332288", "#aa4499", "#44aa99")

SHADES = (0.0, -0.45, 0.55, 0.3)  # of one rule's cells: as it is, towards black, towards white

DARK_SHADES = (0.0, 0.4, 0.65, 0.2)  # of a rule whose color is nearly black

DARK = 0x40  # no part of such a color is larger

DASHES: tuple[Sequence[float], ...] = ([1, 0], [5, 2], [1.5, 1.5], [8, 2, 1.5, 2], [3, 1])

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


@dataclass(frozen=True)
class Style:
    """How one cell's line and dots are drawn."""

    color: str
    dash: Sequence[float]  # lengths of stroke and gap, pixels
    shape: str = "circle"


def cell_styles(rules: Mapping[str, str]) -> dict[str, Style]:
    """A style for each cell of ``{cell: rule}``: its rule's color; shade, dash and shape tell further cells apart."""
    colors = rule_colors(set(rules.values()))
    earlier: dict[str, int] = {}
    styles = {}
    for cell, rule in rules.items():
        number = earlier.get(rule, 0)
        earlier[rule] = number + 1
        shades = DARK_SHADES if max(_parts(colors[rule])) <= DARK else SHADES
        shade = mixed(colors[rule], shades[number % len(shades)])
        styles[cell] = Style(shade, DASHES[number % len(DASHES)], SHAPES[number % len(SHAPES)])
    return styles


def rule_colors(rules: set[str]) -> dict[str, str]:
    """The color of each rule; a rule of one's own gets a spare one by its name, to keep it everywhere."""
    colors = {rule: RULE_COLOURS[rule] for rule in rules if rule in RULE_COLOURS}
    for rule in sorted(rules - set(RULE_COLOURS)):
        start = crc32(rule.encode())
        turns = [SPARE_COLOURS[(start + i) % len(SPARE_COLOURS)] for i in range(len(SPARE_COLOURS))]
        colors[rule] = next((color for color in turns if color not in colors.values()), turns[0])
    return colors


def mixed(color: str, share: float) -> str:
    """``color`` (#rrggbb) mixed with a share of white, or of black where the share is negative."""
    target = 255 if share > 0 else 0
    return "#" + "".join(f"{round(part + (target - part) * abs(share)):02x}" for part in _parts(color))


def _parts(color: str) -> list[int]:
    """Red, green and blue of #rrggbb."""
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def title(text: str, parts: list[str]) -> Any:
    """A figure's title, and under it what is drawn, in as many lines as that takes."""
    return alt.TitleParams(text, subtitle=wrap("; ".join(parts), LETTERS))


def epoch_axis(last: int, most: int, named: bool = True, field: str = "epoch") -> Any:
    """The axis of epochs up to ``last``, with at most about ``most`` ticks, all on whole epochs.

    Not ``named``: without its text, for all but the lowest of panels that share it.
    """
    scale = alt.Scale(domain=[0, max(last, 1)], nice=False)
    axis = alt.Axis(tickCount=max(min(last, most), 1), grid=False, format="d", labels=named)
    return alt.X(f"{field}:Q", title="Epoch" if named else None, scale=scale, axis=axis)


def styled(chart: Any) -> Any:
    """The chart with nowt's fonts, sizes and grid."""
    text = {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal"}
    sizes = {"labelFontSize": 11, "titleFontSize": 11}
    lines = {"gridColor": FAINT, "domainColor": INK, "tickColor": INK, "tickSize": 4, "labelFlush": False}
    return (
        chart.configure(font=FONT, background="white", padding=8)
        .configure_axis(**text, **sizes, **lines)
        .configure_legend(**text, **sizes, labelLimit=0, symbolStrokeWidth=2.5, symbolSize=260)
        .configure_header(**text, **sizes, labelFontWeight="normal")
        .configure_view(stroke=None)
        .configure_title(
            anchor="start",
            frame="group",
            fontSize=13,
            color=INK,
            offset=10,
            subtitleFontSize=11,
            subtitleColor="#555555",
        )
    )


def spec_of(chart: Any) -> dict[str, Any]:
    """The styled chart as a Vega-Lite specification with its data."""
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = styled(chart).to_dict()
    return spec


def save(spec: dict[str, Any], stem: Path) -> tuple[Path, Path]:
    """Write ``stem``.png, which says how many of its pixels are an inch, and ``stem``.svg; nothing over the network."""
    import vl_convert

    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    drawing = vl_convert.vegalite_to_svg(spec)
    svg.write_text(drawing, encoding="utf-8")
    # vl-convert draws scale × ppi / 72 pixels for one of the figure. From the SVG, so that it is laid out once.
    png.write_bytes(vl_convert.svg_to_png(drawing, scale=72 / PER_INCH, ppi=PIXELS * PER_INCH))
    return png, svg
