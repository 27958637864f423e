"""Forest plot: the effect of each factor on the final error, paired by seed, with its interval."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.options import Options
from analysis.figures.script import study_figure
from analysis.figures.style.axes import TICKS, IntervalAxis
from analysis.figures.style.sections import Sections
from analysis.figures.style.theme import FAINT, INK, WIDTH, rule_colors, title
from analysis.frames.study import Frames, rows
from analysis.stats.claim import claim_test
from analysis.stats.effects import KEYS, Effects, effects
from analysis.stats.seeds import scored_split
from analysis.text.claim import claim_caption
from analysis.text.formatting import points
from analysis.text.study import SPLITS, interval_in_words, neither_in_words, seeds_in_words

LOG_FROM = 8.0  # the axis is logarithmic beyond 1 point if the largest effect is this many times the median effect

MAX_EXTENSION = 1.5  # an interval extends the axis to at most this many times the largest effect of a seed


@dataclass(frozen=True)
class EffectAxis(IntervalAxis):
    """An axis of effects in percentage points, including 0. ``against`` names the cell that is the 0."""

    against: str = "the cell after “against”"

    @classmethod
    def for_effects(cls, found: Effects, margin: float | None) -> "EffectAxis":
        """Return the axis that shows every seed, the margin, and intervals that do not extend far beyond them."""
        gaps, means = found.seeds["gap"], found.table["mean"].abs()
        most = max(float(gaps.abs().max()), 0.1)
        near = found.table[["low", "high"]].clip(-MAX_EXTENSION * most, MAX_EXTENSION * most)
        shown = pd.concat([gaps, near["low"], near["high"], pd.Series([0.0, -(margin or 0), margin or 0])]).dropna()
        room = 0.04 * float(shown.max() - shown.min())
        log = bool(means.max() > LOG_FROM * max(means.median(), 1 / LOG_FROM))
        low, high = float(shown.min()) - room, float(shown.max()) + room
        return cls(low, high, log, common_reference(found) or cls.against)

    def encode(self, channel: Any, name: str, title: str = "") -> Any:
        """Encode field ``name`` on ``channel`` along this axis. ``title`` replaces its title."""
        kind = {"type": "symlog", "constant": 1} if self.log else {"type": "linear"}
        scale = alt.Scale(**kind, domain=[self.low, self.high], nice=False)
        ticks = sorted({0.0, *(s * tick for tick in TICKS if tick >= 1 for s in (-1, 1))})
        values = {"values": [tick for tick in ticks if self.low <= tick <= self.high]} if self.log else {"tickCount": 6}
        return channel(
            f"{name}:Q",
            title=title or f"Change in error relative to {self.against} (points)",
            scale=scale,
            axis=alt.Axis(**values, grid=True),
        )


def effects_chart(frames: Frames, options: Options) -> Any | None:
    """Draw the effect of each factor.

    Args:
        frames: The study's frames.
        options: Options of the report.

    Returns:
        An Altair chart; None if no two comparable cells share a seed.

    Example:
        >>> effects_chart(frames, Options()).save("forest.html")  # doctest: +SKIP
    """
    claim, margin = claim_test(frames), options.margin
    margin = claim.claim.margin if margin is None and claim is not None else margin
    return forest_chart(effects(frames), SPLITS[scored_split(frames)], margin, claim_caption(claim))


def forest_chart(found: Effects, split: str, margin: float | None, claim: Sequence[str] = ()) -> Any | None:
    """Draw effects. ``split`` is test or validation, ``margin`` is in points, ``claim`` is ``claim_caption``. Returns
    None if there are no effects."""
    if found.table.empty:
        return None
    axis = EffectAxis.for_effects(found, margin)
    names = [_name(row, found.table) for row in rows(found.table)]
    sections = Sections.from_table(found.table, "factor", _head, names)
    chart = alt.layer(*_ground(sections, axis, margin), *_marks(sections, found.seeds, axis))
    relative = f" relative to {against}" if (against := common_reference(found)) else ""
    words = title(f"Effects on the {split} error{relative}", [*_subtitle(sections.table, axis, margin), *claim])
    return chart.properties(width=WIDTH, height=sections.height, title=words)


def common_reference(found: Effects) -> str:
    """Return the cell with which all others are compared; empty if there are several."""
    against = set(found.table["against"]) - {""}
    return str(against.pop()) if len(against) == 1 else ""


def effects_caption(found: Effects) -> str:
    """Return the caption of the figure, with the cell that others are compared with if there is only one."""
    against = common_reference(found)
    return f"Effects on the error{f' relative to {against}' if against else ''}"


def _head(group: pd.DataFrame) -> str:
    """Return the factor, its change if it is the same in all rows, and the cell compared with if there is only one."""
    factor, changes, against = group["factor"].iloc[0], set(group["change"]), set(group["against"]) - {""}
    change = f": {changes.pop()}" if len(changes) == 1 and len(group) > 1 and len(against) > 1 else ""
    named = len(against) == 1 and ", against " not in factor
    return f"{factor}{change}" + (f", against {against.pop()}" if named else "")


def _name(row: Any, table: pd.DataFrame) -> str:
    """Return the cell of a row, and the cell it is compared with unless the heading names that; for a mean, its change
    if the factor has several."""
    section = table[table["factor"] == row.factor]
    change = "" if row.rule or section["change"].nunique() == 1 else f": {row.change}"
    named = len(set(section["against"]) - {""}) == 1
    against = f", against {row.against}" if row.against and not named else ""
    return f"{row.cell}{against}{change}{neither_in_words(row.void)}"


def _ground(sections: Sections, axis: EffectAxis, margin: float | None) -> list[Any]:
    """Return the band of the margin, the line of no effect, and the section headings."""
    zero = alt.Chart(pd.DataFrame({"at": [0.0]})).mark_rule(color=INK, strokeWidth=1).encode(x=axis.encode(alt.X, "at"))
    if margin is None:
        return [zero, *sections.heading_marks()]
    band = alt.Chart(pd.DataFrame({"low": [-margin], "high": [margin]})).mark_rect(color=FAINT, opacity=1)
    return [band.encode(x=axis.encode(alt.X, "low"), x2="high:Q"), zero, *sections.heading_marks()]


def _marks(sections: Sections, seeds: pd.DataFrame, axis: EffectAxis) -> list[Any]:
    table = sections.table
    colors = {**rule_colors(set(table["rule"]) - {""}), "": INK}
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    shared = {"y": sections.y(), "color": alt.Color("rule:N", scale=scale, legend=None)}
    bars = (
        alt.Chart(axis.clip(table)).mark_rule(strokeWidth=2).encode(x=axis.encode(alt.X, "low"), x2="high:Q", **shared)
    )
    rings = alt.Chart(seeds.merge(table[["place", *KEYS]], on=KEYS))
    rings = rings.mark_point(size=22, strokeWidth=1.1, opacity=1, fill="white")
    ticks = alt.Chart(table).mark_tick(thickness=2.5, size=12, opacity=1).encode(x=axis.encode(alt.X, "mean"), **shared)
    marks = [bars, rings.encode(x=axis.encode(alt.X, "gap"), **shared), ticks]
    if not (cut := axis.clipped_ends(table)).empty:
        ends = alt.Chart(cut).mark_point(size=30, filled=True, opacity=1)
        marks.append(ends.encode(x=axis.encode(alt.X, "at"), shape=alt.Shape("shape:N", scale=None), **shared))
    return marks


def _subtitle(table: pd.DataFrame, axis: EffectAxis, margin: float | None) -> list[str]:
    parts = [f"paired by seed, {seeds_in_words(table['n'])}", interval_in_words(table["n"], "bar"), "ring: one seed"]
    parts += [f"gray: margin of {points(margin)}"] if margin is not None else []
    parts += ["triangle: the bar extends beyond the axis"] if not axis.clipped_ends(table).empty else []
    parts += ["right of 0: higher error"]
    return [*parts, "logarithmic beyond 1 point"] if axis.log else parts


SCRIPT = study_figure("effects", effects_chart, "two cells that share a seed and differ in a setting", "margin")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
