"""Final angles against depth."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.cells import cell_labels, select_cells
from analysis.figures.style.legend import cell_color, cell_dash, cell_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.study import Frames
from analysis.stats.layers import drawn_rows, final_layers, measured_cells
from analysis.text.study import OUTPUT_ANGLE

PANELS = {"matrix_angle": "Matrix angle (°)", "delta_angle": "δ angle (°)"}


def angle_depth_chart(frames: Frames) -> Any | None:
    """Draw final angles by layer.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if no finished run measured an angle.

    Example:
        >>> angle_depth_chart(frames).save("angle_depth.html")  # doctest: +SKIP
    """
    cells = measured_cells(frames)
    if not cells:
        return None
    selection = select_cells(frames, cells)
    final = final_layers(frames)
    final = final[final["cell"].isin(selection.cells)]
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in selection.cells}
    labels = {cell: label for cell, label in cell_labels(frames).items() if cell in styles}
    panels = [_panel(final, measure, styles, labels if measure == "delta_angle" else None) for measure in PANELS]
    caption = [
        "at the last probe, mean over finished runs",
        "90°: no alignment",
        "a line breaks where a run has no angle",
        f"{OUTPUT_ANGLE} and is not shown",
        *selection.note,
    ]
    figure = alt.vconcat(*panels, spacing=12, title=title("Final angle by layer", caption))
    return figure.resolve_scale(color="independent", strokeDash="independent")


def _panel(final: pd.DataFrame, measure: str, styles: Any, labels: dict[str, str] | None) -> Any:
    """Return the panel of one angle; the last one has the legend with these labels."""
    last = labels is not None
    shown = drawn_rows(final.assign(angle=final[measure], layer_number=final["depth"] + 1), ["cell"], "angle")
    if measure == "delta_angle":
        shown = shown[shown["depth"] < shown.groupby("cell")["depth"].transform("max")]
    legend = cell_legend(labels) if labels else None
    deepest = int(final["depth"].max()) + 1
    ticks = alt.Axis(tickMinStep=1, tickCount=8, grid=False, format="d", labels=last)
    scale = alt.Scale(domain=[1, max(deepest, 2)], nice=False)
    x = alt.X("layer_number:Q", title="Layer, from input to output" if last else None, scale=scale, axis=ticks)
    high = max(float(shown["angle"].max()) if len(shown) else 90.0, 1.0)
    y = alt.Y("angle:Q", title=PANELS[measure], scale=alt.Scale(domain=[0, high]), axis=alt.Axis(tickCount=5))
    line = (
        alt.Chart(shown)
        .mark_line(strokeWidth=1.5)
        .encode(x=x, y=y, color=cell_color(styles, legend), strokeDash=cell_dash(styles, legend))
    )
    dots = alt.Chart(shown).mark_point(filled=True, size=14, opacity=1)
    seen = [alt.Tooltip("cell:N"), alt.Tooltip("layer:N"), alt.Tooltip("angle:Q", title=PANELS[measure], format=".3g")]
    dots = dots.encode(x=x, y=y, color=cell_color(styles, legend), tooltip=seen)
    return (line + dots).properties(width=WIDTH, height=110)


SCRIPT = study_figure("angle_depth", angle_depth_chart, "a finished run that measured an angle")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
