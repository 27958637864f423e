"""An axis of errors in percent that shows what was measured, and intervals as far as they stay near it."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]  # of a logarithmic axis, percent

LOG_FROM = 8.0  # an axis is logarithmic where its largest error is this many times the smallest

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

    def encode(self, channel: Any, name: str, title: str | None, **axis: Any) -> Any:
        """Field ``name`` on ``channel`` (alt.X or alt.Y) along this axis."""
        ticks = {"values": [tick for tick in TICKS if self.low <= tick <= self.high]} if self.log else {}
        scale = alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False)
        unit = "%, log scale" if self.log else "%"
        text = f"{title} ({unit})" if title else None
        return channel(f"{name}:Q", title=text, scale=scale, axis=alt.Axis(**ticks, **axis))

    def cut(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The groups of ``frame`` that have an interval, cut off at the axis' ends."""
        found = frame[frame["low"].notna()]
        return found.assign(low=found["low"].clip(self.low, self.high), high=found["high"].clip(self.low, self.high))

    def beyond(self, frame: pd.DataFrame) -> pd.DataFrame:
        """One row an end at which an interval of ``frame`` goes on beyond the axis: with ``at`` and ``shape``."""
        found = frame[frame["low"].notna()]
        left = found[found["low"] < self.low].assign(at=self.low, shape="triangle-left")
        right = found[found["high"] > self.high].assign(at=self.high, shape="triangle-right")
        return pd.concat([left, right], ignore_index=True)


def percent(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its errors and their intervals in percent."""
    names = [name for name in ("error", "mean", "low", "high") if name in frame]
    return frame.assign(**{name: 100 * frame[name] for name in names})


def decades(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: the powers of ten, and where fewer than two of them fit, also 2 and 5 times them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5)):
        ticks = [float(f"{step}e{power}") for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) > 1:
            break
    return ticks
