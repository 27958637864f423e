"""The alignment figure: matrix and δ angle of every layer by epoch, a pair of panels a cell, as in the field's papers."""

from typing import Any

import altair as alt
import pandas as pd

from analysis.frames import Frames
from analysis.statistics import layer_means
from analysis.theme import WIDTH, title
from analysis.words import seeds_in_words

PANELS = {"matrix_angle": "matrix angle, B to W", "delta_angle": "δ angle, to that of backprop"}
MOST = 90.0  # degrees that a panel shows at least: B that knows nothing of W


def alignment_chart(frames: Frames) -> Any | None:
    """The figure as an Altair chart; None where no finished run measured an angle."""
    angles = _drawn(frames)
    if angles.empty:
        return None
    finished = frames.runs[frames.runs["state"] == "finished"].groupby("cell").size()
    heading = title(
        "How well the feedback is aligned, layer by layer",
        [f"mean over finished runs ({seeds_in_words(finished)}); 90° is unaligned"],
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
    most = max(MOST, float(angles["angle"].max()))
    lines = alt.Chart(angles).mark_line(strokeWidth=1.3)
    lines = lines.encode(
        x=alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, grid=False, labelFlush=False, format="d"), scale=alt.Scale(nice=False)),
        y=alt.Y("angle:Q", title="Angle (°)", axis=alt.Axis(values=[0, 30, 60, 90, 120, 150, 180]),
                scale=alt.Scale(domain=[0, most], nice=False)),
        color=alt.Color("place:Q", title=None, scale=_depth_colours(), legend=_legend()),
        detail="layer:N",
    )  # fmt: skip
    panels = lines.properties(width=(WIDTH - 20) / 2, height=84)
    return panels.facet(
        row=alt.Row("cell:N", title=None, sort=cells, header=alt.Header(labelAngle=0, labelAlign="left")),
        column=alt.Column("panel:N", title=None, sort=list(PANELS.values())),
        spacing={"row": 12, "column": 16},
    )


def _depth_colours() -> Any:
    # The palest end of viridis cannot be seen as a thin line on white.
    return alt.Scale(domain=[0, 1], scheme=alt.SchemeParams("viridis", extent=[0, 0.92]))


def _legend() -> Any:
    text = "datum.value == 0 ? 'input layer' : 'output layer'"
    return alt.Legend(orient="bottom", values=[0, 1], labelExpr=text, gradientLength=WIDTH, gradientThickness=8)
