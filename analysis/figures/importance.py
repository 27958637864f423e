"""Which settings matter for which rule: fANOVA (Hutter, Hoos and Leyton-Brown 2014), as Optuna computes it.

A setting's importance is the share of the error's variance over the searched space that it explains by itself, others
averaged out; what is missing to 100 % they explain together. A forest of trees stands in for the error between the
trials, so few trials give rough numbers. Diverged trials count at chance.
"""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.theme import cell_styles, title
from analysis.frames.trials import Trials
from analysis.stats.importance import FEWEST_TRIALS, importances

NEEDS = f"a cell with {FEWEST_TRIALS} trials or more that ran to their end, not all of the same error"

NAMES_WIDTH, BARS_WIDTH = 118, 228  # pixels; together as wide as a plot with its axis

NAMES = {"labelLimit": NAMES_WIDTH, "minExtent": NAMES_WIDTH, "labelPadding": 6, "ticks": False, "domain": False}


def importance_chart(trials: Trials) -> Any | None:
    """The figure as an Altair chart; None where no cell has an importance."""
    shares = importances(trials)
    if shares.empty:
        return None
    cells = list(dict.fromkeys(shares["cell"]))
    rules = dict(zip(trials.frame["cell"], trials.frame["rule"], strict=True))
    styles = cell_styles(rules)
    shares = shares.assign(percent=100 * shares["importance"])
    panels = [_panel(shares, cell, styles[cell].color, last=cell == cells[-1]) for cell in cells]
    some = ["of trials that were not stopped early"] if (trials.frame["state"] == "stopped").any() else []
    parts = ["fANOVA: what a setting explains by itself", *some, "rough where trials are few"]
    heads = title("Which settings matter for the error", parts)
    heads.frame = "bounds"  # it starts where the names do
    return alt.vconcat(*panels, spacing=8, title=heads)


def _panel(shares: pd.DataFrame, cell: str, color: str, last: bool) -> Any:
    """One cell's bars, on the axis of all."""
    here = shares[shares["cell"] == cell]
    scale = alt.Scale(domain=[0, float(shares["percent"].max())], nice=True)
    axis = alt.Axis(labels=last, tickCount=5, format="d")
    x = alt.X("percent:Q", title="Share of the error's variance (%)" if last else None, scale=scale, axis=axis)
    y = alt.Y("setting:N", title=None, sort=None, axis=alt.Axis(**NAMES))
    bars = alt.Chart(here).mark_bar(color=color).encode(x=x, y=y)
    over = alt.TitleParams(f"{cell}, {here['n'].iloc[0]} trials", fontSize=11, fontWeight="normal", offset=4)
    return bars.properties(width=BARS_WIDTH, height=alt.Step(13), title=over)


SCRIPT = search_figure("importance", importance_chart, NEEDS)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
