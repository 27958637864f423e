"""A grid of small panels, two per row, whose axis titles appear only at the left and at the bottom."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.style.theme import INK, WIDTH

COLUMNS, SPACING = 2, 18  # panels per row, and pixels between them


def grid(panels: Sequence[Any]) -> Any:
    """Arrange the panels row by row."""
    return alt.concat(*panels, columns=COLUMNS, spacing={"row": 8, "column": SPACING})


def width(panels: int) -> float:
    """Return the width of a panel in pixels, for this number of panels."""
    return WIDTH if panels == 1 else (WIDTH - SPACING) / COLUMNS


def heading(text: str, panels: int) -> Any:
    """Return a heading as a layer of a panel; the position of a title would depend on the axis labels."""
    look = {"align": "left", "baseline": "bottom", "fontSize": 11, "limit": width(panels)}
    label = alt.Chart(pd.DataFrame({"text": [text]})).mark_text(**look)
    return label.encode(text="text:N", x=alt.value(0), y=alt.value(-5), color=alt.value(INK))


def is_leftmost(place: int) -> bool:
    """Return whether the panel at index ``place`` is the first of a row."""
    return place % COLUMNS == 0


def is_lowest(place: int, panels: int) -> bool:
    """Return whether no other panel is below the one at index ``place``."""
    return place + COLUMNS >= panels
