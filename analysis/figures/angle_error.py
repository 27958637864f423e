"""Alignment against final error, one dot per run."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.axes import ErrorAxis
from analysis.figures.style.cells import cell_labels
from analysis.figures.style.legend import cell_color, cell_shape, dot_legend
from analysis.figures.style.theme import WIDTH, cell_styles, title
from analysis.frames.study import Frames
from analysis.stats.layers import angles_and_errors
from analysis.stats.seeds import scored_split
from analysis.text.study import SPLITS
from nowt.core.formatting import counted

PANELS = {"matrix_angle": "Matrix angle (°)", "delta_angle": "δ angle (°)"}

SPACING = 18  # pixels


def angle_error_chart(frames: Frames) -> Any | None:
    """Draw the final error of each run against its alignment.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if no finished run measured an angle.

    Example:
        >>> angle_error_chart(frames).save("angle_error.html")  # doctest: +SKIP
    """
    split = scored_split(frames)
    runs = angles_and_errors(frames, split)
    if runs.empty:
        return None
    name = f"{SPLITS[split].capitalize()} error"
    axis = ErrorAxis.for_errors(runs["error"], runs.assign(low=runs["error"], high=runs["error"]), zero=False)
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in set(runs["cell"])}
    legend = dot_legend({cell: label for cell, label in cell_labels(frames).items() if cell in styles})
    panels = [_panel(runs, measure, axis, styles, name, legend) for measure in PANELS]
    caption = ["dot: one finished run", "angle: median over layers at the last probe", "error: after the last epoch"]
    undefined = int(runs[list(PANELS)].isna().any(axis=1).sum())
    caption += [f"an angle of {counted(undefined, 'run')} is undefined and not shown"] * bool(undefined)
    figure = alt.hconcat(*panels, spacing=SPACING, title=title("Alignment and error", caption))
    return figure.resolve_scale(color="shared", shape="shared")


def _panel(runs: pd.DataFrame, measure: str, axis: ErrorAxis, styles: Any, name: str, legend: Any) -> Any:
    left = measure == "matrix_angle"
    shown = runs.dropna(subset=measure).assign(angle=lambda rows: rows[measure])[["cell", "seed", "error", "angle"]]
    scale = alt.Scale(domain=[0, 1.06 * max(float(shown["angle"].max()) if len(shown) else 90.0, 1.0)], nice=False)
    x = alt.X("angle:Q", title=PANELS[measure], scale=scale, axis=alt.Axis(tickCount=5))
    y = axis.encode(alt.Y, "error", name if left else None, labels=left)
    color, shape = cell_color(styles, legend), cell_shape(styles, legend)
    dots = alt.Chart(shown).mark_point(filled=True, size=40, opacity=0.85)
    seen = [alt.Tooltip("cell:N"), alt.Tooltip("seed:Q"), alt.Tooltip("angle:Q", title=PANELS[measure], format=".3g")]
    seen.append(alt.Tooltip("error:Q", title=f"{name} (%)", format=".3g"))
    dots = dots.encode(x=x, y=y, color=color, shape=shape, tooltip=seen)
    return dots.properties(width=(WIDTH - SPACING) / 2, height=150)


SCRIPT = study_figure("angle_error", angle_error_chart, "a finished run that measured an angle")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
