"""Matrix angle and δ angle of every layer by epoch, with two panels per cell."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.options import Options
from analysis.figures.script import study_figure
from analysis.figures.style.cells import cell_labels, select_cells
from analysis.figures.style.legend import place_color
from analysis.figures.style.theme import WIDTH, epoch_axis, title
from analysis.frames.study import Frames
from analysis.published import SOURCE, published_angles
from analysis.stats.layers import drawn_rows, layer_means, measured_cells
from analysis.text.study import OUTPUT_ANGLE, seeds_in_words

PANELS = {"matrix_angle": "matrix angle, B to W", "delta_angle": "δ angle, to backprop's δ"}

TICKS = (1, 5, 10, 30, 60)  # degrees between two ticks

SPACING, LABELS = 24, 24  # pixels between two panels, and for tick labels, so that all panels align

PUBLISHED_LAYERS = 50


def alignment_chart(frames: Frames, options: Options = Options()) -> Any | None:  # noqa: B008 (it is frozen)
    """Draw matrix and δ angles by layer and epoch.

    Args:
        frames: The study's frames.
        options: Options of the report.

    Returns:
        An Altair chart; None if no finished run measured an angle.

    Example:
        >>> alignment_chart(frames).save("alignment.html")  # doctest: +SKIP
    """
    angles = _drawn(frames)
    if angles.empty:
        return None
    finished = frames.runs[frames.runs["state"] == "finished"].groupby("cell").size()
    selection = select_cells(frames, measured_cells(frames))
    caption = [
        f"mean over finished runs ({seeds_in_words(finished)})",
        "90°: no alignment",
        "a line breaks where a run has no angle",
        f"{OUTPUT_ANGLE} and is not shown",
        *selection.note,
    ]
    caption += [
        f"published: {SOURCE}, one run; values above its axis limits of 15° and 25° are missing"
    ] * options.published
    pairs = _own(angles, selection.cells, cell_labels(frames)) + (_published(frames) if options.published else [])
    return alt.vconcat(*pairs, spacing=6, title=title("Alignment by layer and epoch", caption))


def _drawn(frames: Frames) -> pd.DataFrame:
    """Return one row per cell, layer, epoch and panel, with the layer's place between input (0) and output (1)."""
    names = ["cell", "epoch", "layer", "place"]
    long = layer_means(frames).melt(names, list(PANELS), var_name="panel", value_name="angle")
    return drawn_rows(long.assign(panel=long["panel"].map(PANELS)), ["cell", "layer", "panel"], "angle")


def _own(angles: pd.DataFrame, cells: list[str], labels: dict[str, str]) -> list[Any]:
    """Return two panels per cell, all with the same axes so that they can be compared."""
    y, last = _angle_axis(float(angles["angle"].max())), int(angles["epoch"].max())
    x = {cell: epoch_axis(last, 5, named=cell == cells[-1]) for cell in cells}
    return [_pair(angles[angles["cell"] == cell], labels[cell], y, x[cell], cell == cells[0]) for cell in cells]


def _published(frames: Frames) -> list[Any]:
    """Return two panels for each published rule that the study contains, or for all published rules if it has none."""
    found = published_angles().rename(columns={"measure": "panel"})
    found["panel"] = found["panel"].map({"matrix": PANELS["matrix_angle"], "delta": PANELS["delta_angle"]})
    found = found.assign(place=(found["layer"] - 1) / (PUBLISHED_LAYERS - 1), cell=found["rule"] + ", published")
    known = ["ss", "wm", "kp"]
    rules = [rule for rule in known if rule in set(frames.runs["rule"])] or known
    pairs = []
    for rule in rules:
        mine = found[found["rule"] == rule]
        y, x = _angle_axis(float(mine["angle"].max())), epoch_axis(100, 5, named=rule == rules[-1])
        pairs.append(_pair(mine, f"{rule}, published: ResNet-50 on ImageNet", y, x, first=False))
    return pairs


def _pair(angles: pd.DataFrame, name: str, y: Any, x: Any, first: bool) -> Any:
    """Return the panels of one cell."""
    lines = alt.Chart(angles).mark_line(strokeWidth=1.3)
    lines = lines.encode(x=x, y=y, color=place_color(), detail="layer:N")
    column = alt.Column("panel:N", title=None, sort=list(PANELS.values()), header=alt.Header(labels=first))
    panels = lines.properties(width=(WIDTH - SPACING) / 2, height=84).facet(column=column, spacing=SPACING)
    return panels.properties(title=alt.TitleParams(name, fontSize=11, offset=4))


def _angle_axis(largest: float) -> Any:
    step = next(step for step in TICKS if 4.5 * step >= min(largest, 180))
    scale = alt.Scale(domain=[0, max(3 * step, largest)], nice=False)
    axis = alt.Axis(values=list(range(0, 181, step)), format="d", minExtent=LABELS, maxExtent=LABELS)
    return alt.Y("angle:Q", title="Angle (°)", axis=axis, scale=scale)


SCRIPT = study_figure("alignment", alignment_chart, "a finished run that measured an angle", "published")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
