"""The alignment figure: matrix and δ angle of every layer by epoch, a pair of panels a cell."""

from typing import Any

import altair as alt
import pandas as pd

from analysis.frames import Frames
from analysis.seeds import layer_means
from analysis.theme import WIDTH, epoch_axis, title
from analysis.words import seeds_in_words

PANELS = {"matrix_angle": "matrix angle, B to W", "delta_angle": "δ angle, to that of backprop"}
TICKS = (1, 5, 10, 30, 60)  # degrees between two ticks


def alignment_chart(frames: Frames) -> Any | None:
    """The figure as an Altair chart; None where no finished run measured an angle."""
    angles = _drawn(frames)
    if angles.empty:
        return None
    finished = frames.runs[frames.runs["state"] == "finished"].groupby("cell").size()
    heading = title(
        "How well the feedback is aligned, layer by layer",
        [f"mean over finished runs ({seeds_in_words(finished)})", "90° is unaligned"],
    )
    cells = [cell for cell in frames.study.cells if cell in set(angles["cell"])]
    return _panels(angles, cells).properties(title=heading)


def _drawn(frames: Frames) -> pd.DataFrame:
    """One row a cell, layer, epoch and panel, with the layer's place between input (0) and output (1)."""
    means = layer_means(frames)
    deepest = means.groupby("cell")["depth"].transform("max").clip(lower=1)
    means = means.assign(place=means["depth"] / deepest)
    names = ["cell", "epoch", "layer", "place"]
    long = means.melt(names, list(PANELS), var_name="panel", value_name="angle")
    return long.assign(panel=long["panel"].map(PANELS)).dropna(subset="angle")


def _panels(angles: pd.DataFrame, cells: list[str]) -> Any:
    pairs = [_pair(angles, cell, first=cell == cells[0], last=cell == cells[-1]) for cell in cells]
    return alt.vconcat(*pairs, spacing=6)


def _pair(angles: pd.DataFrame, cell: str, first: bool, last: bool) -> Any:
    """One cell's panels; every cell's have the same axes, so that they can be compared."""
    x = epoch_axis(int(angles["epoch"].max()), 5, named=last)
    colour = alt.Color("place:Q", title=None, scale=_depth_colours(), legend=_legend())
    lines = alt.Chart(angles[angles["cell"] == cell]).mark_line(strokeWidth=1.3)
    lines = lines.encode(x=x, y=_angle_axis(float(angles["angle"].max())), color=colour, detail="layer:N")
    column = alt.Column("panel:N", title=None, sort=list(PANELS.values()), header=alt.Header(labels=first))
    panels = lines.properties(width=(WIDTH - 16) / 2, height=84).facet(column=column, spacing=16)
    return panels.properties(title=alt.TitleParams(cell, fontSize=11, offset=4))


def _angle_axis(largest: float) -> Any:
    step = next(step for step in TICKS if 4.5 * step >= min(largest, 180))
    scale = alt.Scale(domain=[0, max(3 * step, largest)], nice=False)
    return alt.Y("angle:Q", title="Angle (°)", axis=alt.Axis(values=list(range(0, 181, step)), format="d"), scale=scale)


def _depth_colours() -> Any:
    # The palest end of viridis cannot be seen as a thin line on white.
    return alt.Scale(domain=[0, 1], scheme=alt.SchemeParams("viridis", extent=[0, 0.92]))


def _legend() -> Any:
    text = "datum.value == 0 ? 'input layer' : 'output layer'"
    return alt.Legend(orient="bottom", values=[0, 1], labelExpr=text, gradientLength=WIDTH, gradientThickness=8)
