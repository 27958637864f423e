"""Map of the error over learning rate η and weight decay λ: one dot per trial, one panel per cell.

Other settings varied as well, so neighboring trials may differ in more than the map shows.
"""

import sys
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.axes import LOG_FROM, TICKS, decades
from analysis.figures.style.panels import grid, heading, is_leftmost, is_lowest, width
from analysis.figures.style.theme import INK, WIDTH, title
from analysis.frames.study import counted_runs
from analysis.frames.trials import Trials
from analysis.stats.seeds import percent
from analysis.stats.trials import LEARNING_RATE, WEIGHT_DECAY, landscape_cells

NAMES = {LEARNING_RATE: "Learning rate η", WEIGHT_DECAY: "Weight decay λ"}

REQUIREMENT = f"a cell with a finished trial that varied both {LEARNING_RATE} and {WEIGHT_DECAY}"

SHAPE = 0.8  # height of a panel, relative to its width

ROOM = 1.3  # factor of space around the values

STOPPED = "#b5b5b5"

MARKS = {
    "finished": "dot: error after the last epoch",
    "diverged": "cross: diverged, chance error",
    "stopped": "gray: stopped early",
}

DOT = {"filled": True, "opacity": 1}


def landscape_chart(trials: Trials) -> Any | None:
    """Draw the error of each trial over learning rate and weight decay.

    Args:
        trials: The trials of a search.

    Returns:
        An Altair chart; None if no cell with a finished trial varied both.

    Example:
        >>> landscape_chart(trials).save("landscape.html")  # doctest: +SKIP
    """
    cells = landscape_cells(trials)
    if not cells:
        return None
    shown = percent(trials.frame[trials.frame["cell"].isin(cells)])
    # Vega interprets a dot in a field name as attribute access.
    shown = shown[["cell", "trial", "state", "error"]].assign(rate=shown[LEARNING_RATE], decay=shown[WEIGHT_DECAY])
    panels = [_panel(shown, cell, place, len(cells)) for place, cell in enumerate(cells)]
    heading = title("Error over learning rate and weight decay", _subtitle(shown))
    return grid(panels).resolve_scale(color="shared").properties(title=heading)


def _subtitle(shown: pd.DataFrame) -> list[str]:
    legend = [text for state, text in MARKS.items() if (shown["state"] == state).any()]
    return [*legend, "ring: best trial", "log axes"]


def _panel(shown: pd.DataFrame, cell: str, place: int, cells: int) -> Any:
    """Return the map of one cell; axis titles appear only at the left and at the bottom."""
    x = _log_axis(alt.X, "rate", shown["rate"], title=NAMES[LEARNING_RATE] if is_lowest(place, cells) else None)
    named = is_leftmost(place)
    y = _log_axis(alt.Y, "decay", shown["decay"], title=NAMES[WEIGHT_DECAY] if named else None, labels=named)
    by_state = {state: shown[(shown["cell"] == cell) & (shown["state"] == state)] for state in MARKS}
    best = by_state["finished"].nsmallest(1, "error")
    color = _error_color(counted_runs(shown)["error"])
    marks = [
        alt.Chart(by_state["stopped"]).mark_point(**DOT, size=10, color=STOPPED),
        alt.Chart(by_state["diverged"]).mark_point(**DOT, size=40, shape="cross").encode(color=color),
        alt.Chart(by_state["finished"]).mark_point(**DOT, size=26).encode(color=color),
        alt.Chart(best).mark_point(size=90, strokeWidth=1.5, opacity=1, color=INK),
    ]
    over = heading(f"{cell}, best {best['error'].item():.2f} %", cells)
    panel = alt.layer(*[mark.encode(x=x, y=y) for mark in marks], over)
    return panel.properties(width=width(cells), height=SHAPE * width(cells))


def _log_axis(channel: Any, field: str, values: "pd.Series[float]", **axis: Any) -> Any:
    """Return a logarithmic axis over the values of all cells; a linear one if a value is 0."""
    low, high = float(values.min()) / ROOM, float(values.max()) * ROOM
    if low <= 0:
        return channel(f"{field}:Q", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=3, **axis))
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    ticks = alt.Axis(values=decades(low, high), format="~g", **axis)
    return channel(f"{field}:Q", scale=scale, axis=ticks)


def _error_color(errors: "pd.Series[float]") -> Any:
    low, high = float(errors.min()), float(errors.max())
    log = low > 0 and high / low >= LOG_FROM
    # The palest end of viridis is invisible as a small dot on white.
    scheme = alt.SchemeParams("viridis", extent=[0, 0.92])
    scale = alt.Scale(type="log" if log else "linear", domain=[low, high], scheme=scheme, nice=False)
    return alt.Color(
        "error:Q",
        title=f"Validation error (%{', log scale' if log else ''})",
        scale=scale,
        legend=_legend([tick for tick in TICKS if low <= tick <= high] if log else []),
    )


def _legend(ticks: Sequence[float]) -> Any:
    values = {"values": ticks} if ticks else {"tickCount": 5}
    return alt.Legend(orient="bottom", gradientLength=WIDTH, gradientThickness=8, titleLimit=WIDTH, **values)


SCRIPT = search_figure("landscape", landscape_chart, REQUIREMENT)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
