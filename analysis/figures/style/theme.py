"""The look of figures: fonts, sizes, and one color per rule, distinguishable for color-blind readers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any
from zlib import crc32

import altair as alt

from analysis.figures.style.columns import check_columns
from nowt.core.errors import naming

# vl-convert ships Liberation Sans, which has the widths of Arial. It draws no text in an unavailable font family.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

WIDTH = 300  # pixels of a plot; with its axis, a figure fits a column of 3.4 inches at 7 points

LETTERS = 60  # number of subtitle letters that fit the width of a plot

INK, FAINT = "#222222", "#e4e4e4"

PIXELS = 4  # pixels of a PNG per pixel of the figure

PER_INCH = 113  # pixels of the figure per inch: text of 11 pixels is printed at 7 points

# Okabe and Ito, "Color universal design" (2008); the others are from Tol, "Colour schemes" (2021).
RULE_COLORS = {
    "bp": "#222222",
    "fa": "#d55e00",
    "ss": "#e69f00",
    "wm": "#009e73",
    "kp": "#0072b2",
    "dfa": "#56b4e9",
    "dkp": "#332288",
    "ia": "#882255",
    "sham": "#cc79a7",
}

SPARE_COLORS = ("#999933", "#aa4499", "#44aa99", "#ddcc77", "#cc6677", "#661100")

SHADES = (0.0, -0.45, 0.55, 0.3)  # of cells of one rule: mixed with black (below 0) or white (above 0)

DARK_SHADES = (0.0, 0.4, 0.65, 0.2)  # for a rule whose color is nearly black

DARK = 0x40  # largest component of such a color

DASHES: tuple[Sequence[float], ...] = ([1, 0], [5, 2], [1.5, 1.5], [8, 2, 1.5, 2], [3, 1])

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


@dataclass(frozen=True)
class Style:
    """The style of one cell's line and dots."""

    color: str
    dash: Sequence[float]  # lengths of strokes and gaps, pixels
    shape: str = "circle"


def cell_styles(rules: Mapping[str, str]) -> dict[str, Style]:
    """Return the style of each cell of ``{cell: rule}``: its rule's color; shade, dash and shape vary by cell."""
    colors = rule_colors(set(rules.values()))
    earlier: dict[str, int] = {}
    styles = {}
    for cell, rule in rules.items():
        number = earlier.get(rule, 0)
        earlier[rule] = number + 1
        shades = DARK_SHADES if max(_parts(colors[rule])) <= DARK else SHADES
        shade = adjust_lightness(colors[rule], shades[number % len(shades)])
        styles[cell] = Style(shade, DASHES[number % len(DASHES)], SHAPES[number % len(SHAPES)])
    return styles


def rule_colors(rules: set[str]) -> dict[str, str]:
    """Return the color of each rule. A custom rule has the same color in all figures.

    Example:
        >>> rule_colors({"bp"})
        {'bp': '#222222'}
    """
    colors = {rule: RULE_COLORS[rule] for rule in rules if rule in RULE_COLORS}
    for rule in sorted(rules - set(RULE_COLORS)):
        first = crc32(rule.encode())
        candidates = [SPARE_COLORS[(first + i) % len(SPARE_COLORS)] for i in range(len(SPARE_COLORS))]
        colors[rule] = next((color for color in candidates if color not in colors.values()), candidates[0])
    return colors


def adjust_lightness(color: str, share: float) -> str:
    """Mix ``color`` (#rrggbb) with a fraction of white or, if ``share`` is negative, of black."""
    target = 255 if share > 0 else 0
    return "#" + "".join(f"{round(part + (target - part) * abs(share)):02x}" for part in _parts(color))


def _parts(color: str) -> list[int]:
    """Return red, green and blue of #rrggbb."""
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def title(text: str, parts: list[str]) -> Any:
    """Return a figure's title with its caption as a wrapped subtitle."""
    return alt.TitleParams(text, subtitle=wrap("; ".join(parts), LETTERS))


def epoch_axis(last: int, most: int, named: bool = True, field: str = "epoch") -> Any:
    """Return the axis of epochs up to ``last``, with about ``most`` ticks at integers.

    Unless ``named``, it has no title and labels, for panels above another one.
    """
    scale = alt.Scale(domain=[0, max(last, 1)], nice=False)
    axis = alt.Axis(tickCount=max(min(last, most), 1), grid=False, format="d", labels=named)
    return alt.X(f"{field}:Q", title="Epoch" if named else None, scale=scale, axis=axis)


def apply_theme(chart: Any) -> Any:
    """Return the chart with the fonts, sizes and grid of this theme."""
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


def vega_lite_spec(chart: Any) -> dict[str, Any]:
    """Return the styled chart as a Vega-Lite specification, including its data.

    Raises ValueError for a channel that encodes a column that its data does not have.
    """
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = apply_theme(chart).to_dict()
    check_columns(spec)
    return spec


def save(spec: dict[str, Any], stem: Path) -> tuple[Path, Path]:
    """Write ``stem``.png, with its resolution in pixels per inch, and ``stem``.svg, without network access."""
    import vl_convert

    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    drawing = vl_convert.vegalite_to_svg(spec)
    with naming(svg):
        svg.write_text(drawing, encoding="utf-8")
    # vl-convert draws scale × ppi / 72 pixels per pixel of the figure. Converting the SVG avoids a second layout.
    with naming(png):
        png.write_bytes(vl_convert.svg_to_png(drawing, scale=72 / PER_INCH, ppi=PIXELS * PER_INCH))
    return png, svg
