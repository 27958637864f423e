"""The comparison figure: error by epoch and cell, and below it every seed's error after the last epoch."""

import json
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.frames import Frames
from analysis.seeds import diverged_counts, error_curves, final_errors, mean_interval, scored_split
from analysis.theme import WIDTH, Style, cell_styles, epoch_axis, title
from analysis.words import SPLITS, interval_in_words, legend_labels, seeds_in_words

ROWS = {"labelLimit": 110, "labelPadding": 6, "ticks": False, "domain": False}  # the legend has names in full
TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]  # of a logarithmic axis, percent
LOG_FROM = 8.0  # an axis is logarithmic where its largest error is this many times the smallest
LETTERS, SAMPLE = (
    54,
    8,
)  # of legend text in the figure's width; as wide as a line's sample and the space around it
NEAR = 1.5  # an interval widens its axis at most to this many times the largest error, or the smallest over it


@dataclass(frozen=True)
class ErrorAxis:
    """An axis of errors in percent. Intervals are cut off at its ends."""

    low: float
    high: float
    log: bool

    @classmethod
    def over(cls, errors: "pd.Series[float]", means: pd.DataFrame, zero: bool) -> "ErrorAxis":
        """The axis that shows all ``errors`` and the intervals of ``means`` as far as they stay near them.

        ``zero``: it starts at 0 where it is linear.
        """
        near = means["low"].clip(lower=errors.min() / NEAR), means["high"].clip(upper=errors.max() * NEAR)
        shown = pd.concat([errors, *near])
        low, high = float(shown.min()), min(float(shown.max()), 100.0)
        if low > 0 and high / low >= LOG_FROM:
            return cls(low / 1.1, min(high * 1.1, 100.0), True)
        room = max(0.05 * (high - low), 0.2)
        return cls(0.0 if zero else max(low - room, 0.0), min(high + room, 100.0), False)

    def encode(self, channel: Any, name: str, title: str, **axis: Any) -> Any:
        """Field ``name`` on ``channel`` (alt.X or alt.Y) along this axis."""
        ticks = {"values": [tick for tick in TICKS if self.low <= tick <= self.high]} if self.log else {}
        scale = alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False)
        text = f"{title} (%, log scale)" if self.log else f"{title} (%)"
        return channel(f"{name}:Q", title=text, scale=scale, axis=alt.Axis(**ticks, labelFlush=False, **axis))

    def cut(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The groups of ``frame`` that have an interval, cut off at the axis' ends."""
        found = frame[frame["low"].notna()]
        return found.assign(low=found["low"].clip(self.low, self.high), high=found["high"].clip(self.low, self.high))


def curves_chart(frames: Frames) -> Any:
    """The figure as an Altair chart. It needs a finished or diverged run."""
    split = scored_split(frames)
    curves = error_curves(frames, split)
    counts = diverged_counts(frames.runs)
    labels = legend_labels(counts, list(frames.study.cells))
    rules = dict(zip(frames.runs["cell"], frames.runs["rule"], strict=True))
    styles = {cell: style for cell, style in cell_styles(rules).items() if cell in labels}
    name = f"{SPLITS[split].capitalize()} error"
    final = final_errors(curves)
    upper = _lines(_percent(mean_interval(curves, ["cell", "epoch"], "error")), styles, labels, name)
    lower = _last_epoch(_percent(final), _percent(mean_interval(final, ["cell"], "error")), styles, name)
    chart = alt.vconcat(upper, lower, spacing=16, title=title(f"{name} by epoch", _subtitle(counts)))
    return chart.resolve_legend(color="independent", strokeDash="independent")


def _subtitle(counts: pd.DataFrame) -> list[str]:
    n = counts["n"]
    parts = [f"mean over {seeds_in_words(n)}", interval_in_words(n, "band and bar"), "ring: one seed"]
    return [*parts, "a diverged run counts at chance"] if counts["diverged"].any() else parts


def _percent(frame: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in ("error", "mean", "low", "high") if name in frame]
    return frame.assign(**{name: 100 * frame[name] for name in names})


def _lines(means: pd.DataFrame, styles: dict[str, Style], labels: dict[str, str], name: str) -> Any:
    axis = ErrorAxis.over(means["mean"], means, zero=True)
    x = epoch_axis(int(means["epoch"].max()), 10)
    colour = _colour(styles, _legend(labels))
    low, mean = axis.encode(alt.Y, "low", name), axis.encode(alt.Y, "mean", name)
    band = (
        alt.Chart(axis.cut(means))
        .mark_area(opacity=min(0.15, 0.9 / len(styles)))
        .encode(x=x, y=low, y2="high:Q", color=colour)
    )
    line = alt.Chart(means).mark_line(strokeWidth=2)
    line = line.encode(x=x, y=mean, color=colour, strokeDash=_dash(styles, _legend(labels)))
    return (band + line).properties(width=WIDTH, height=200)


def _last_epoch(seeds: pd.DataFrame, means: pd.DataFrame, styles: dict[str, Style], name: str) -> Any:
    axis = ErrorAxis.over(seeds["error"], means, zero=False)
    y = alt.Y("cell:N", title=None, sort=list(styles), axis=alt.Axis(**ROWS))
    low, error, mean = (axis.encode(alt.X, x, f"{name} after the last epoch") for x in ("low", "error", "mean"))
    shared = {"y": y, "color": _colour(styles, None)}
    bars = alt.Chart(axis.cut(means)).mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **shared)
    rings = alt.Chart(seeds).mark_point(size=30, strokeWidth=1.4, opacity=1, fill="white")
    ticks = alt.Chart(means).mark_tick(thickness=2.5, size=15, opacity=1)
    marks = bars + rings.encode(x=error, **shared) + ticks.encode(x=mean, **shared)
    return marks.properties(width=WIDTH, height=alt.Step(19))


def _colour(styles: dict[str, Style], legend: Any) -> Any:
    scale = alt.Scale(domain=list(styles), range=[style.colour for style in styles.values()])
    return alt.Color("cell:N", title=None, scale=scale, legend=legend)


def _dash(styles: dict[str, Style], legend: Any) -> Any:
    scale = alt.Scale(domain=list(styles), range=[style.dash for style in styles.values()])
    return alt.StrokeDash("cell:N", title=None, scale=scale, legend=legend)


def _legend(labels: dict[str, str]) -> Any:
    return alt.Legend(
        orient="bottom",
        columns=_columns([len(label) for label in labels.values()]),
        symbolType="stroke",
        symbolOpacity=1,
        offset=10,
        labelExpr=f"{json.dumps(labels)}[datum.label]",
    )


def _columns(letters: list[int]) -> int:
    """The most columns in which labels of so many letters fit the figure's width."""
    for columns in range(len(letters), 1, -1):
        if sum(max(letters[i::columns]) + SAMPLE for i in range(columns)) <= LETTERS:
            return columns
    return 1
