"""How cells are told apart in a figure: color, dash, shape, and a legend in as many columns as fit."""

import json
from typing import Any

import altair as alt

from analysis.figures.style.theme import WIDTH, Style

SAMPLE, BESIDE = 30, 10  # pixels of a line's sample and the spaces beside it, and of the space after a column

LETTER = 11  # pixels of the text's size

NARROW, BROAD = frozenset("fijlrtI.,:;'|()[]/- "), frozenset("mwMW%")


def cell_color(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """The color channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.color for style in styles.values()])
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_dash(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """The dash channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.dash for style in styles.values()])
    return alt.StrokeDash(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_shape(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """The shape channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.shape for style in styles.values()])
    return alt.Shape(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_legend(labels: dict[str, str]) -> Any:
    """The legend under a figure that calls each cell by its label."""
    return _legend(labels, symbolType="stroke")


def dot_legend(labels: dict[str, str]) -> Any:
    """As ``cell_legend``, for cells that are drawn as dots, in their shapes."""
    return _legend(labels, symbolSize=60)


def _legend(labels: dict[str, str], **look: Any) -> Any:
    return alt.Legend(
        orient="bottom",
        columns=_columns([_breadth(label) for label in labels.values()]),
        symbolOpacity=1,
        offset=10,
        labelExpr=f"{json.dumps(labels)}[datum.label]",
        **look,
    )


def _columns(breadths: list[float]) -> int:
    """The most columns in which labels of so many pixels fit the figure's width."""
    for columns in range(len(breadths), 1, -1):
        if sum(max(breadths[i::columns]) + SAMPLE for i in range(columns)) <= WIDTH + BESIDE:
            return columns
    return 1


def _breadth(text: str) -> float:
    """About how many pixels ``text`` takes."""
    return LETTER * sum(0.3 if letter in NARROW else 0.85 if letter in BROAD else 0.57 for letter in text)


def place_color() -> Any:
    """The color of a layer by its place; the palest end of viridis cannot be seen as a thin line on white."""
    scale = alt.Scale(domain=[0, 1], scheme=alt.SchemeParams("viridis", extent=[0, 0.92]))
    text = "datum.value == 0 ? 'input layer' : 'output layer'"
    look = {"gradientLength": WIDTH, "gradientThickness": 8}
    legend = alt.Legend(orient="bottom", values=[0, 1], labelExpr=text, **look)
    return alt.Color("place:Q", title=None, scale=scale, legend=legend)
