"""The forest plot: each factor's effect on the final error, paired by seed, with its interval."""

from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.axes import TICKS
from analysis.effects import Effects
from analysis.frames import rows
from analysis.theme import FAINT, INK, WIDTH, rule_colours, title
from analysis.words import interval_in_words, seeds_in_words
from analysis.written import points

LOG_FROM = 8.0  # the axis is logarithmic beyond 1 point where the largest effect is so many times the median one
NEAR = 1.5  # an interval widens the axis to at most so many times the largest effect of a seed
ROW = 16  # pixels
LABELS = 180  # pixels of a row's name


@dataclass(frozen=True)
class EffectAxis:
    """An axis of effects in percentage points, 0 on it; intervals are cut off at its ends."""

    low: float
    high: float
    log: bool

    @classmethod
    def over(cls, found: Effects, margin: float | None) -> "EffectAxis":
        """The axis that shows every seed and the margin, and intervals as far as they stay near."""
        gaps, means = found.seeds["gap"], found.table["mean"].abs()
        most = max(float(gaps.abs().max()), 0.1)
        near = found.table[["low", "high"]].clip(-NEAR * most, NEAR * most)
        shown = pd.concat([gaps, near["low"], near["high"], pd.Series([0.0, -(margin or 0), margin or 0])]).dropna()
        room = 0.04 * float(shown.max() - shown.min())
        log = bool(means.max() > LOG_FROM * max(means.median(), 1 / LOG_FROM))
        return cls(float(shown.min()) - room, float(shown.max()) + room, log)

    def encode(self, channel: Any, name: str) -> Any:
        """Field ``name`` on ``channel`` along this axis."""
        kind = {"type": "symlog", "constant": 1} if self.log else {"type": "linear"}
        scale = alt.Scale(**kind, domain=[self.low, self.high], nice=False)
        ticks = sorted({0.0, *(s * tick for tick in TICKS if tick >= 1 for s in (-1, 1))})
        values = {"values": [tick for tick in ticks if self.low <= tick <= self.high]} if self.log else {"tickCount": 6}
        return channel(
            f"{name}:Q",
            title="Change in error (points)",
            scale=scale,
            axis=alt.Axis(**values, labelFlush=False, grid=True),
        )

    def cut(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows with an interval, cut off at the axis' ends."""
        found = frame[frame["low"].notna()]
        return found.assign(low=found["low"].clip(self.low, self.high), high=found["high"].clip(self.low, self.high))

    def beyond(self, frame: pd.DataFrame) -> pd.DataFrame:
        """One row an end at which an interval goes on beyond the axis, with ``at`` and ``shape``."""
        left = frame[frame["low"] < self.low].assign(at=self.low, shape="triangle-left")
        right = frame[frame["high"] > self.high].assign(at=self.high, shape="triangle-right")
        return pd.concat([left, right], ignore_index=True)


def forest_chart(found: Effects, split: str, margin: float | None) -> Any | None:
    """The figure as an Altair chart; None where nothing can be paired. ``split`` in words, ``margin`` in points."""
    if found.table.empty:
        return None
    axis = EffectAxis.over(found, margin)
    table, heads = _placed(found.table)
    seeds = found.seeds.merge(table[["place", *_KEYS]], on=_KEYS)
    colours = {**rule_colours(set(table["rule"]) - {""}), "": INK}
    chart = alt.layer(*_ground(table, heads, axis, margin), *_marks(table, seeds, heads, axis, colours))
    words = _subtitle(table, axis, margin)
    return chart.properties(
        width=WIDTH, height=ROW * (len(table) + len(heads)), title=title(f"Effects on the {split} error", words)
    )


_KEYS = ["factor", "change", "cell", "against"]


def _placed(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows with their ``place`` from the top, factor by factor, and the heads of the factors with theirs."""
    place, places, heads = 0, {}, []
    for factor, group in table.groupby("factor", sort=False):
        heads.append({"place": place, "text": _head(str(factor), group)})
        for index in group.index:
            place += 1
            places[index] = place
        place += 1
    placed = table.assign(place=pd.Series(places), name=[_name(row, table) for row in rows(table)])
    return placed.sort_values("place"), pd.DataFrame(heads)


def _head(factor: str, group: pd.DataFrame) -> str:
    """The factor, its change where all rows have the same, and what they are compared with where that is one cell."""
    changes, against = set(group["change"]), set(group["against"]) - {""}
    change = f": {changes.pop()}" if len(changes) == 1 and len(group) > 1 and len(against) > 1 else ""
    named = len(against) == 1 and ", against " not in factor
    return f"{factor}{change}" + (f", against {against.pop()}" if named else "")


def _name(row: Any, table: pd.DataFrame) -> str:
    """A row's cell; a mean also by its change, where its factor has several."""
    if row.rule or table.loc[table["factor"] == row.factor, "change"].nunique() == 1:
        return str(row.cell)
    return f"{row.cell}: {row.change}"


def _rows_axis(table: pd.DataFrame, heads: pd.DataFrame, field: str = "place") -> Any:
    names = [""] * (len(table) + len(heads))
    for row in rows(table):
        names[row.place] = row.name
    labels = alt.Axis(
        labelExpr=f"{names!r}[datum.value]",
        values=list(range(len(names))),
        ticks=False,
        domain=False,
        grid=False,
        labelLimit=LABELS,
        labelPadding=6,
    )
    return alt.Y(f"{field}:Q", title=None, axis=labels, scale=alt.Scale(domain=[len(names) - 0.5, -0.5], nice=False))


def _ground(table: pd.DataFrame, heads: pd.DataFrame, axis: EffectAxis, margin: float | None) -> list[Any]:
    """The margin's band, the line of no effect, and the factors' names."""
    y = _rows_axis(table, heads)
    zero = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color=INK, strokeWidth=1).encode(x=axis.encode(alt.X, "at"))
    # The heads stand on white of their own, or grid and band would run through them.
    white = alt.Chart(heads.assign(top=heads["place"] - 0.5, bottom=heads["place"] + 0.5)).mark_rect(
        color="white", opacity=1
    )
    white = white.encode(y=_rows_axis(table, heads, "top"), y2="bottom:Q", x=alt.value(0), x2=alt.value(WIDTH))
    said = alt.Chart(heads).mark_text(align="left", baseline="middle", fontSize=10, color="#555555", limit=WIDTH)
    parts = [zero, white, said.encode(y=y, x=alt.value(0), text="text:N")]
    if margin is None:
        return parts
    band = alt.Chart(pd.DataFrame({"low": [-margin], "high": [margin]})).mark_rect(color=FAINT, opacity=1)
    return [band.encode(x=axis.encode(alt.X, "low"), x2="high:Q"), *parts]


def _marks(
    table: pd.DataFrame, seeds: pd.DataFrame, heads: pd.DataFrame, axis: EffectAxis, colours: dict[str, str]
) -> list[Any]:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    shared = {"y": _rows_axis(table, heads), "color": alt.Color("rule:N", scale=scale, legend=None)}
    x = axis.encode(alt.X, "low")
    bars = alt.Chart(axis.cut(table)).mark_rule(strokeWidth=2).encode(x=x, x2="high:Q", **shared)
    rings = alt.Chart(seeds).mark_point(size=22, strokeWidth=1.1, opacity=1, fill="white")
    ticks = alt.Chart(table).mark_tick(thickness=2.5, size=12, opacity=1)
    marks = [
        bars,
        rings.encode(x=axis.encode(alt.X, "gap"), **shared),
        ticks.encode(x=axis.encode(alt.X, "mean"), **shared),
    ]
    if not (cut := axis.beyond(table)).empty:
        ends = alt.Chart(cut).mark_point(size=30, filled=True, opacity=1)
        shape = alt.Shape("shape:N", scale=None)
        marks.append(ends.encode(x=axis.encode(alt.X, "at"), shape=shape, **shared))
    return marks


def _subtitle(table: pd.DataFrame, axis: EffectAxis, margin: float | None) -> list[str]:
    parts = [f"paired by seed, {seeds_in_words(table['n'])}", interval_in_words(table["n"], "bar"), "ring: one seed"]
    parts += [f"grey: within {points(margin)}"] if margin is not None else []
    parts += ["triangle: the bar goes on beyond the axis"] if not axis.beyond(table).empty else []
    parts += ["right of 0: more error"]
    return [*parts, "logarithmic beyond 1 point"] if axis.log else parts
