"""Small panels two by two, a cell each, whose axes are named once: along the left and the bottom."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.style.theme import INK, WIDTH

COLUMNS, BETWEEN = 2, 18  # panels beside each other, and pixels


def grid(panels: Sequence[Any]) -> Any:
    """The panels row by row."""
    return alt.concat(*panels, columns=COLUMNS, spacing={"row": 8, "column": BETWEEN})


def width(panels: int) -> float:
    """Pixels of a panel's width where there are so many."""
    return WIDTH if panels == 1 else (WIDTH - BETWEEN) / COLUMNS


def heading(text: str, panels: int) -> Any:
    """A layer that says what one of so many panels shows: a title would stand higher beside an axis with numbers."""
    look = {"align": "left", "baseline": "bottom", "fontSize": 11, "limit": width(panels)}
    said = alt.Chart(pd.DataFrame({"text": [text]})).mark_text(**look)
    return said.encode(text="text:N", x=alt.value(0), y=alt.value(-5), color=alt.value(INK))


def leftmost(place: int) -> bool:
    """Whether the panel at ``place`` (from 0) begins a row."""
    return place % COLUMNS == 0


def lowest(place: int, panels: int) -> bool:
    """Whether no other of so many panels stands below the one at ``place``."""
    return place + COLUMNS >= panels
