"""Rows of a figure in sections: each section under a head of its own, all along one axis."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.style.theme import WIDTH

ROW = 16  # pixels

LABELS = 180  # pixels of a row's name

GREY = "#555555"


@dataclass(frozen=True)
class Sections:
    """The rows of ``table`` with their ``place`` from the top, and the heads (place, text) with theirs."""

    table: pd.DataFrame
    heads: pd.DataFrame
    names: tuple[str, ...]  # by place; empty for a head

    @classmethod
    def of(cls, table: pd.DataFrame, by: str, head: Callable[[pd.DataFrame], str], names: list[str]) -> "Sections":
        """A section for each value of column ``by``, in its order; ``head`` says what stands over one, ``names`` what
        stands beside each row."""
        order: list[int] = []
        heads: list[dict[str, object]] = []
        said: list[str] = []
        for _, group in table.groupby(by, sort=False):
            heads.append({"place": len(said), "text": head(group)})
            said += ["", *(names[i] for i in group.index)]
            order += list(group.index)
        spots = [i for i, name in enumerate(said) if i not in {one["place"] for one in heads}]
        return cls(table.loc[order].assign(place=spots), pd.DataFrame(heads), tuple(said))

    @property
    def height(self) -> int:
        """Pixels."""
        return ROW * len(self.names)

    def y(self, field: str = "place") -> Any:
        """The axis of rows, for a field that holds places."""
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

    def headed(self) -> list[Any]:
        """The heads, each on white of its own, or the grid would run through them."""
        places = self.heads.assign(top=self.heads["place"] - 0.5, bottom=self.heads["place"] + 0.5)
        white = alt.Chart(places).mark_rect(color="white", opacity=1)
        white = white.encode(y=self.y("top"), y2="bottom:Q", x=alt.value(0), x2=alt.value(WIDTH))
        said = alt.Chart(self.heads).mark_text(align="left", baseline="middle", fontSize=10, color=GREY, limit=WIDTH)
        return [white, said.encode(y=self.y(), x=alt.value(0), text="text:N")]
