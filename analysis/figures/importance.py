"""The importance of each setting for each rule, by fANOVA (``analysis.stats.importance``)."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.theme import cell_styles, title
from analysis.frames.trials import Trials
from analysis.stats.importance import FEWEST_TRIALS, importances
from nowt.core.formatting import counted

REQUIREMENT = f"a cell with at least {FEWEST_TRIALS} finished or diverged trials, not all with the same error"

NAMES_WIDTH, BARS_WIDTH = 118, 228  # pixels; together the width of a plot with its axis

NAMES = {"labelLimit": NAMES_WIDTH, "minExtent": NAMES_WIDTH, "labelPadding": 6, "ticks": False, "domain": False}


def importance_chart(trials: Trials) -> Any | None:
    """Draw the importance of settings.

    Args:
        trials: The trials of a search.

    Returns:
        An Altair chart; None if no cell has enough trials.

    Example:
        >>> importance_chart(trials).save("importance.html")  # doctest: +SKIP
    """
    shares = importances(trials)
    if shares.empty:
        return None
    cells = list(dict.fromkeys(shares["cell"]))
    rules = dict(zip(trials.frame["cell"], trials.frame["rule"], strict=True))
    styles = cell_styles(rules)
    shares = shares.assign(percent=100 * shares["importance"])
    panels = [_panel(shares, cell, styles[cell].color, last=cell == cells[-1]) for cell in cells]
    some = ["without trials stopped early"] if (trials.frame["state"] == "stopped").any() else []
    parts = ["fANOVA: variance that a setting explains by itself", *some, "rough for few trials"]
    heading = title("Importance of settings", parts)
    heading.frame = "bounds"  # aligned with the names
    return alt.vconcat(*panels, spacing=8, title=heading)


def _panel(shares: pd.DataFrame, cell: str, color: str, last: bool) -> Any:
    """Return the bars of one cell, on an axis that all cells share."""
    here = shares[shares["cell"] == cell]
    scale = alt.Scale(domain=[0, float(shares["percent"].max())], nice=True)
    axis = alt.Axis(labels=last, tickCount=5, format="d")
    x = alt.X("percent:Q", title="Explained variance of the error (%)" if last else None, scale=scale, axis=axis)
    y = alt.Y("setting:N", title=None, sort=None, axis=alt.Axis(**NAMES))
    bars = alt.Chart(here).mark_bar(color=color).encode(x=x, y=y)
    over = alt.TitleParams(
        f"{cell}, {counted(int(here['n'].iloc[0]), 'trial')}", fontSize=11, fontWeight="normal", offset=4
    )
    return bars.properties(width=BARS_WIDTH, height=alt.Step(13), title=over)


SCRIPT = search_figure("importance", importance_chart, REQUIREMENT)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
