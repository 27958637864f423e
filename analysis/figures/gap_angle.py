"""Gap in error to the reference against the δ angle while learning: one point per cell."""

import math
import sys
from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.forest import EffectAxis
from analysis.figures.script import study_figure
from analysis.figures.style.cells import failed_notes
from analysis.figures.style.labels import PLACEMENTS, Placement, place_labels
from analysis.figures.style.legend import cell_color
from analysis.figures.style.theme import FAINT, INK, WIDTH, cell_styles, title
from analysis.frames.study import Frames, rows
from analysis.stats.gap_angle import gaps_and_angles
from analysis.stats.seeds import scored_split
from analysis.text.study import SPLITS, interval_in_words
from nowt.studies.claim import Claim

HEIGHT = 190

FEWEST_CELLS = 3  # with a δ angle

MARK = 5.0  # pixels around the center of a point that no label covers

LOG_FROM = 8.0  # the axis of gaps is logarithmic beyond 1 point if the largest gap is this many times the median one


def gap_angle_chart(frames: Frames) -> Any | None:
    """Draw each cell's gap to its reference against its δ angle.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if fewer than three cells have a gap and a δ angle.

    Example:
        >>> gap_angle_chart(frames).save("gap_angle.html")  # doctest: +SKIP
    """
    points = gaps_and_angles(frames)
    if len(points) < FEWEST_CELLS:
        return None
    top, axis = _largest_angle(points), _gap_axis(points)
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in set(points["cell"])}
    color = cell_color(styles, None)
    layers = [*_ground(frames.study.claim, axis, top), *_bars(points, axis, top, color)]
    layers += _points(points, axis, top, color)
    split = SPLITS[scored_split(frames)]
    name = title("Gap in error and alignment", _caption(frames, points, split, axis))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=name)


def _largest_angle(points: pd.DataFrame) -> float:
    """Return the right end of the axis of angles."""
    shown = pd.concat([points["angle"], points["angle_high"]]).max()
    return min(1.12 * max(float(shown), 1.0), 180.0)


def _gap_axis(points: pd.DataFrame) -> EffectAxis:
    """Return the axis of gaps, which includes 0 and every interval."""
    shown = pd.concat([points["gap"], points["gap_low"], points["gap_high"], pd.Series([0.0])])
    room = 0.08 * float(shown.max() - shown.min()) or 1.0
    sizes = points["gap"].abs()
    log = bool(sizes.max() > LOG_FROM * max(sizes.median(), 1 / LOG_FROM))
    return EffectAxis(float(shown.min()) - room, float(shown.max()) + room, log)


def _x(name: str, top: float) -> Any:
    scale = alt.Scale(domain=[0, top], nice=False)
    text = "δ angle in the second half of training (°)"
    return alt.X(f"{name}:Q", title=text, scale=scale, axis=alt.Axis(tickCount=6, grid=False))


def _y(name: str, axis: EffectAxis) -> Any:
    return axis.encode(alt.Y, name, "Gap to the reference (points)")


def _ground(claim: Claim | None, axis: EffectAxis, top: float) -> Iterator[Any]:
    """Yield the region in which the claim would hold, and the line of no gap."""
    if claim is not None:
        right = min(claim.max_delta_angle or top, top)
        low, high = max(-claim.margin, axis.low), min(claim.margin, axis.high)
        region = alt.Chart(pd.DataFrame([{"left": 0.004 * top, "right": right, "low": low, "high": high}]))
        region = region.mark_rect(color=FAINT, opacity=1)
        yield region.encode(x=_x("left", top), x2="right:Q", y=_y("low", axis), y2="high:Q")
    yield alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color=INK, strokeWidth=1).encode(y=_y("at", axis))


def _bars(points: pd.DataFrame, axis: EffectAxis, top: float, color: Any) -> Iterator[Any]:
    """Yield the intervals of gaps and of angles."""
    gaps, angles = points.dropna(subset="gap_low"), points.dropna(subset="angle_low")
    angles = angles.assign(angle_low=angles["angle_low"].clip(0, top), angle_high=angles["angle_high"].clip(0, top))
    x, y = _x("angle", top), _y("gap", axis)
    bar = {"strokeWidth": 1.5}
    yield alt.Chart(gaps).mark_rule(**bar).encode(x=x, y=_y("gap_low", axis), y2="gap_high:Q", color=color)
    yield alt.Chart(angles).mark_rule(**bar).encode(x=_x("angle_low", top), x2="angle_high:Q", y=y, color=color)


def _points(points: pd.DataFrame, axis: EffectAxis, top: float, color: Any) -> Iterator[Any]:
    """Yield the points and their labels."""
    seen = [alt.Tooltip("cell:N"), alt.Tooltip("angle:Q", title="δ angle (°)", format=".3g")]
    seen.append(alt.Tooltip("gap:Q", title="gap (points)", format=".3g"))
    shared = {"x": _x("angle", top), "y": _y("gap", axis), "color": color}
    yield alt.Chart(points).mark_point(filled=True, size=45, opacity=1).encode(tooltip=seen, **shared)
    placed = _placed(points, axis, top)
    for placement in PLACEMENTS:
        mine = points[[one == placement for one in placed]]
        if len(mine):
            text = alt.Chart(mine).mark_text(align=placement.align, dx=placement.dx, dy=placement.dy)
            yield text.encode(text="cell:N", **shared)


def _placed(points: pd.DataFrame, axis: EffectAxis, top: float) -> list[Placement]:
    """Return where the label of each point is: it covers neither points nor intervals."""
    places, taken = [], []
    for row in rows(points):
        x, y = WIDTH * row.angle / top, _pixel(row.gap, axis)
        places.append((x, y))
        taken.append((x - MARK, x + MARK, y - MARK, y + MARK))
        if not math.isnan(row.gap_low):
            taken.append((x - 2, x + 2, _pixel(row.gap_high, axis), _pixel(row.gap_low, axis)))
        if not math.isnan(row.angle_low):
            taken.append((WIDTH * row.angle_low / top, WIDTH * row.angle_high / top, y - 2, y + 2))
    return place_labels(places, list(points["cell"]), taken, (WIDTH, HEIGHT))


def _pixel(gap: float, axis: EffectAxis) -> float:
    """Return the height of a gap in pixels from the top of the plot."""

    def scaled(value: float) -> float:
        return math.copysign(math.log1p(abs(value)), value) if axis.log else value

    return HEIGHT * (scaled(axis.high) - scaled(gap)) / (scaled(axis.high) - scaled(axis.low))


def _caption(frames: Frames, points: pd.DataFrame, split: str, axis: EffectAxis) -> list[str]:
    n = pd.concat([points["n"], points["angle_n"]])
    parts = [f"point: one cell, {split} error minus that of {_named(points)}, paired by seed"]
    parts += ["angle: median over layers, mean over the epochs of the second half", interval_in_words(n, "bars")]
    parts += ["logarithmic beyond 1 point"] * axis.log
    claim = frames.study.claim
    if claim is not None:
        limit = f" and {claim.max_delta_angle:g}°" if claim.max_delta_angle is not None else ""
        parts.append(f"gray: {claim.margin:g} points{limit} of the claim")
    return parts + failed_notes(frames, list(points["cell"]))


def _named(points: pd.DataFrame) -> str:
    against = set(points["against"])
    return against.pop() if len(against) == 1 else "its reference"


SCRIPT = study_figure("gap_angle", gap_angle_chart, "a reference and three other cells with a δ angle")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
