"""Color, dash and shape channels of cells, and legends with as many columns as fit."""

import json
from typing import Any

import altair as alt

from analysis.figures.style.theme import WIDTH, Style

SAMPLE, BESIDE = 30, 10  # pixels of a legend symbol with its padding, and of the space after a column

LETTER = 11  # font size, pixels

NARROW, BROAD = frozenset("fijlrtI.,:;'|()[]/- "), frozenset("mwMW%")


def cell_color(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """Return the color channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.color for style in styles.values()])
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_dash(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """Return the dash channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.dash for style in styles.values()])
    return alt.StrokeDash(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_shape(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """Return the shape channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.shape for style in styles.values()])
    return alt.Shape(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_legend(labels: dict[str, str]) -> Any:
    """Return a legend below the figure that shows each cell's label."""
    return _legend(labels, symbolType="stroke")


def dot_legend(labels: dict[str, str]) -> Any:
    """Return a legend like ``cell_legend`` for cells drawn as dots."""
    return _legend(labels, symbolSize=60)


def _legend(labels: dict[str, str], **look: Any) -> Any:
    return alt.Legend(
        orient="bottom",
        columns=_columns([text_width(label) for label in labels.values()]),
        symbolOpacity=1,
        offset=10,
        labelExpr=f"{json.dumps(labels)}[datum.label]",
        **look,
    )


def _columns(breadths: list[float]) -> int:
    """Return the largest number of columns in which labels of these widths fit the figure."""
    for columns in range(len(breadths), 1, -1):
        if sum(max(breadths[i::columns]) + SAMPLE for i in range(columns)) <= WIDTH + BESIDE:
            return columns
    return 1


def text_width(text: str) -> float:
    """Return an estimate of the width of ``text`` in pixels."""
    return LETTER * sum(0.3 if letter in NARROW else 0.85 if letter in BROAD else 0.57 for letter in text)


def place_color() -> Any:
    """Return the color channel of a layer's place; the palest end of viridis is invisible as a thin line on white."""
    scale = alt.Scale(domain=[0, 1], scheme=alt.SchemeParams("viridis", extent=[0, 0.92]))
    text = "datum.value == 0 ? 'input layer' : 'output layer'"
    look = {"gradientLength": WIDTH, "gradientThickness": 8}
    legend = alt.Legend(orient="bottom", values=[0, 1], labelExpr=text, **look)
    return alt.Color("place:Q", title=None, scale=scale, legend=legend)
