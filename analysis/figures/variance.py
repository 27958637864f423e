"""The standard deviation of the error over seeds due to each source, with intervals."""

import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import study_figure
from analysis.figures.style.sections import Sections
from analysis.figures.style.theme import WIDTH, rule_colors, title
from analysis.frames.study import Frames
from analysis.stats.seeds import scored_split
from analysis.stats.variance import variance_split
from analysis.text.study import SPLITS, seeds_in_words
from analysis.text.variance import source_label

MAX_EXTENSION = 2.0  # an interval extends the axis to at most this many times the largest deviation


def split_chart(frames: Frames) -> Any | None:
    """Draw the standard deviation over seeds by source.

    Args:
        frames: The study's frames.

    Returns:
        An Altair chart; None if no cell pins a seed.

    Example:
        >>> split_chart(frames).save("variance.html")  # doctest: +SKIP
    """
    return variance_chart(variance_split(frames), SPLITS[scored_split(frames)])


def variance_chart(components: pd.DataFrame, split: str) -> Any | None:
    """Draw the components of ``variance_split``. ``split`` is test or validation. Returns None if there are none."""
    if components.empty:
        return None
    names = list(map(source_label, components["source"]))
    sections = Sections.from_table(components, "family", lambda group: str(group["family"].iloc[0]), names)
    table, most = sections.table, MAX_EXTENSION * float(components["deviation"].max()) or 1.0
    colors = rule_colors(set(table["rule"]))
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    shared = {"y": sections.y(), "color": alt.Color("rule:N", scale=scale, legend=None)}
    bars = alt.Chart(table.assign(high=table["high"].clip(upper=most))).mark_rule(strokeWidth=2)
    points = alt.Chart(table).mark_point(size=34, filled=True, opacity=1)
    cut = table[table["high"] > most].assign(at=most)
    ends = alt.Chart(cut).mark_point(size=30, filled=True, opacity=1, shape="triangle-right")
    marks = [
        *sections.heading_marks(),
        bars.encode(x=_axis("low", most), x2="high:Q", **shared),
        points.encode(x=_axis("deviation", most), **shared),
        ends.encode(x=_axis("at", most), **shared),
    ]
    words = title(f"Variance of the {split} error by source", _subtitle(table, not cut.empty))
    return alt.layer(*marks).properties(width=WIDTH, height=sections.height, title=words)


def _axis(name: str, most: float) -> Any:
    scale = alt.Scale(domain=[0, most], nice=False)
    return alt.X(
        f"{name}:Q",
        title="Standard deviation over seeds (points)",
        scale=scale,
        axis=alt.Axis(tickCount=6),
    )


def _subtitle(table: pd.DataFrame, cut: bool) -> list[str]:
    parts = [f"{seeds_in_words(table['n'])}", "bar: 95 % interval"]
    return [*parts, "triangle: the bar extends beyond the axis"] if cut else parts


SCRIPT = study_figure("variance", split_chart, "cells that pin seeds (config field seeds)")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
