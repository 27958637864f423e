"""The norm of the feedback weights relative to the forward weights, |B|/|W|, by layer and epoch."""

import math
import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.axes import decades
from analysis.figures.style.cells import failed_notes, select_cells
from analysis.figures.style.legend import place_color
from analysis.figures.style.panels import grid, heading, is_leftmost, is_lowest, width
from analysis.figures.style.theme import epoch_axis, title
from analysis.frames.study import Frames
from analysis.stats.layers import drawn_rows, layer_means

MOST_TICKS = 5


def norm_ratio_chart(frames: Frames) -> Any | None:
    """Draw |B|/|W| by layer and epoch.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if no finished run measured a ratio.

    Example:
        >>> norm_ratio_chart(frames).save("norm_ratio.html")  # doctest: +SKIP
    """
    means = layer_means(frames)
    positive = means.assign(norm_ratio=means["norm_ratio"].where(means["norm_ratio"] > 0))
    means = drawn_rows(positive, ["cell", "layer"], "norm_ratio")
    cells = [cell for cell in frames.study.cells if cell in set(means["cell"])]
    if not cells:
        return None
    selection = select_cells(frames, cells)
    cells, means = selection.cells, means[means["cell"].isin(selection.cells)]
    panels = [_panel(means, cell, place, len(cells)) for place, cell in enumerate(cells)]
    caption = [
        "one line per layer, mean over finished runs",
        "log scale",
        "backprop: 1",
        "a line breaks where it is 0 or undefined",
        *failed_notes(frames, cells),
    ]
    caption += selection.note
    return (
        grid(panels)
        .resolve_scale(color="shared")
        .properties(title=title("Relative norm of the feedback weights", caption))
    )


def _panel(means: pd.DataFrame, cell: str, place: int, panels: int) -> Any:
    """Return the panel of one cell; all panels have the same axes."""
    x = epoch_axis(int(means["epoch"].max()), 5, named=is_lowest(place, panels))
    low, high = float(means["norm_ratio"].min()), float(means["norm_ratio"].max())
    low, high = min(low, 1.0) / 1.1, max(high, 1.0) * 1.1
    ticks = decades(low, high)
    every = -(-len(ticks) // MOST_TICKS)
    ticks = ticks if every == 1 else [tick for tick in ticks if round(math.log10(tick)) % every == 0]  # 1 among them
    side = is_leftmost(place)
    y = alt.Y(
        "norm_ratio:Q",
        title="|B| / |W|" if side else None,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, labels=side, format="~g" if every == 1 else "~e"),
    )
    lines = alt.Chart(means[means["cell"] == cell]).mark_line(strokeWidth=1.3)
    lines = lines.encode(x=x, y=y, color=place_color(), detail="layer:N")
    tall = 96 if panels > 1 else 160
    return alt.layer(lines, heading(cell, panels)).properties(width=width(panels), height=tall)


SCRIPT = study_figure("norm_ratio", norm_ratio_chart, "a finished run that measured |B|/|W|")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
