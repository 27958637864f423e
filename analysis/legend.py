"""How cells are told apart in a figure: colour, dash, and a legend in as many columns as fit."""

import json
from typing import Any

import altair as alt

from analysis.theme import Style

LETTERS, SAMPLE = 54, 8  # letters of legend text in the figure's width; as wide as a line's sample and its space


def cell_colour(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """The colour channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.colour for style in styles.values()])
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_dash(styles: dict[str, Style], legend: Any, field: str = "cell") -> Any:
    """The dash channel of ``field``."""
    scale = alt.Scale(domain=list(styles), range=[style.dash for style in styles.values()])
    return alt.StrokeDash(f"{field}:N", title=None, scale=scale, legend=legend)


def cell_legend(labels: dict[str, str]) -> Any:
    """The legend under a figure that calls each cell by its label."""
    return alt.Legend(
        orient="bottom",
        columns=_columns([len(label) for label in labels.values()]),
        symbolType="stroke",
        symbolOpacity=1,
        offset=10,
        labelExpr=f"{json.dumps(labels)}[datum.label]",
    )


def dot_legend(labels: dict[str, str]) -> Any:
    """As ``cell_legend``, for cells that are drawn as dots."""
    legend = cell_legend(labels)
    legend.symbolType, legend.symbolSize = "circle", 60
    return legend


def _columns(letters: list[int]) -> int:
    """The most columns in which labels of so many letters fit the figure's width."""
    for columns in range(len(letters), 1, -1):
        if sum(max(letters[i::columns]) + SAMPLE for i in range(columns)) <= LETTERS:
            return columns
    return 1
