"""Heat maps of the angle of every layer at every epoch, one panel per cell and kind of angle."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.cells import failed_notes, select_cells
from analysis.figures.style.panels import heading
from analysis.figures.style.theme import WIDTH, title
from analysis.frames.study import Frames
from analysis.stats.layers import layer_means, measured_cells
from analysis.text.study import OUTPUT_ANGLE

PANELS = {"matrix_angle": "matrix angle", "delta_angle": "δ angle"}

TICKS = [0, 2, 10, 30, 60, 90]  # degrees

SPACING, HEIGHT = 14, 74  # pixels

OVERLAP = 0.1  # fraction by which adjacent squares overlap, to avoid white hairlines between them


def angle_map_chart(frames: Frames) -> Any | None:
    """Draw heat maps of angles over layers and epochs.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if no finished run measured an angle.

    Example:
        >>> angle_map_chart(frames).save("angle_map.html")  # doctest: +SKIP
    """
    cells = measured_cells(frames)
    if not cells:
        return None
    means, selection = layer_means(frames), select_cells(frames, cells)
    cells = selection.cells
    rows = [_row(means[means["cell"] == cell], cell, last=cell == cells[-1]) for cell in cells]
    caption = [
        "mean over finished runs",
        "lowest row: next to the input",
        "blank: undefined in a run",
        f"{OUTPUT_ANGLE} and is not shown",
        *failed_notes(frames, cells),
        *selection.note,
    ]
    return alt.vconcat(*rows, spacing=8, title=title("Alignment over layers and epochs", caption))


def _row(means: pd.DataFrame, cell: str, last: bool) -> Any:
    """Return the two panels of one cell."""
    return alt.hconcat(*[_panel(means, cell, measure, last) for measure in PANELS], spacing=SPACING)


def _panel(means: pd.DataFrame, cell: str, measure: str, last: bool) -> Any:
    shown = means.dropna(subset=measure).assign(angle=lambda rows: rows[measure])
    shown = shown.sort_values(["depth", "epoch"])[["cell", "epoch", "layer", "depth", "angle"]]
    epochs, deepest = means["epoch"], int(means["depth"].max())
    step = float(epochs.drop_duplicates().sort_values().diff().min()) if epochs.nunique() > 1 else 1.0
    shown = shown.assign(left=shown["epoch"] - step / 2, right=shown["epoch"] + step * (0.5 + OVERLAP))
    shown = shown.assign(low=shown["depth"] + 0.5, high=shown["depth"] + 1.5 + OVERLAP)
    across = alt.Scale(domain=[float(epochs.min()) - step / 2, float(epochs.max()) + step / 2], nice=False)
    up = alt.Scale(domain=[0.5, deepest + 1.5], nice=False)
    left = measure == "matrix_angle"
    count = alt.Axis(tickMinStep=1, tickCount=5, grid=False, format="d", labels=last)
    layers = alt.Axis(values=sorted({1, (deepest + 2) // 2, deepest + 1}), grid=False, format="d", labels=left)
    x = alt.X("left:Q", title="Epoch" if last else None, scale=across, axis=count)
    y = alt.Y("low:Q", title="Layer" if left else None, scale=up, axis=layers)
    seen = [alt.Tooltip("layer:N"), alt.Tooltip("epoch:Q"), alt.Tooltip("angle:Q", title="Angle (°)", format=".3g")]
    squares = alt.Chart(shown).mark_rect(clip=True)
    squares = squares.encode(x=x, x2="right:Q", y=y, y2="high:Q", color=_color(), tooltip=seen)
    panel = alt.layer(squares, heading(f"{cell}: {PANELS[measure]}", 2))
    return panel.properties(width=(WIDTH - SPACING) / 2, height=HEIGHT)


def _color() -> Any:
    """Return a color scale that resolves small angles better than large ones."""
    scale = alt.Scale(type="sqrt", domain=[0, 90], clamp=True, scheme="viridis", reverse=True)
    legend = alt.Legend(orient="bottom", values=TICKS, gradientLength=WIDTH, gradientThickness=8, titleLimit=WIDTH)
    return alt.Color("angle:Q", title="Angle (°, square-root scale; 90: no alignment)", scale=scale, legend=legend)


SCRIPT = study_figure("angle_map", angle_map_chart, "a finished run that measured an angle")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
