"""Rows of a figure in sections with headings, along one common axis."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.style.theme import WIDTH

ROW = 16  # pixels

LABELS = 280  # largest width of the row labels, pixels

GRAY = "#555555"


@dataclass(frozen=True)
class Sections:
    """The rows of ``table`` with their ``place`` from the top, and the headings (place, text)."""

    table: pd.DataFrame
    headings: pd.DataFrame
    names: tuple[str, ...]  # row label by place; empty for a heading

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, by: str, head: Callable[[pd.DataFrame], str], names: list[str]
    ) -> "Sections":
        """Create one section per value of column ``by``.

        ``head`` gives the heading of a section, ``names`` the label of each row of ``table``.
        """
        order: list[int] = []
        headings: list[dict[str, object]] = []
        labels: list[str] = []
        for _, group in table.groupby(by, sort=False):
            headings.append({"place": len(labels), "text": head(group)})
            labels += ["", *(names[i] for i in group.index)]
            order += list(group.index)
        spots = [i for i, name in enumerate(labels) if i not in {one["place"] for one in headings}]
        return cls(table.loc[order].assign(place=spots), pd.DataFrame(headings), tuple(labels))

    @property
    def height(self) -> int:
        """Height of the figure in pixels."""
        return ROW * len(self.names)

    def y(self, field: str = "place") -> Any:
        """Return the axis of rows, for a field that contains places."""
        axis = alt.Axis(
            labelExpr=f"{json.dumps(list(self.names))}[datum.value]",
            values=list(range(len(self.names))),
            ticks=False,
            domain=False,
            grid=False,
            labelLimit=LABELS,
            labelPadding=6,
        )
        scale = alt.Scale(domain=[len(self.names) - 0.5, -0.5], nice=False)
        return alt.Y(f"{field}:Q", title=None, axis=axis, scale=scale)

    def heading_marks(self) -> list[Any]:
        """Return the headings, each on a white background that hides the grid."""
        places = self.headings.assign(top=self.headings["place"] - 0.5, bottom=self.headings["place"] + 0.5)
        white = alt.Chart(places).mark_rect(color="white", opacity=1)
        white = white.encode(y=self.y("top"), y2="bottom:Q", x=alt.value(0), x2=alt.value(WIDTH))
        text = alt.Chart(self.headings).mark_text(align="left", baseline="middle", fontSize=10, color=GRAY, limit=WIDTH)
        return [white, text.encode(y=self.y(), x=alt.value(0), text="text:N")]
