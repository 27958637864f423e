"""The axes that figures share: error in percent, and training cost."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]  # ticks of a logarithmic axis, percent

LOG_FROM = 8.0  # an axis is logarithmic if its largest error is at least this many times the smallest

MAX_EXTENSION = (
    1.5  # an interval extends its axis at most to this many times the largest, or this fraction of the smallest error
)


@dataclass(frozen=True)
class Unit:
    """A cost's axis title, and the units in which it can be counted."""

    title: str
    short: str  # title in a small panel
    sizes: dict[str, float]  # by name, the smallest first


UNITS = {
    "presentations": Unit(
        "Presentations, mirror samples included", "Presentations", {"": 1, "thousands": 1e3, "millions": 1e6}
    ),
    "flops": Unit(
        "Training, mirror mode included", "Training", {"GFLOP": 1e9, "TFLOP": 1e12, "PFLOP": 1e15, "EFLOP": 1e18}
    ),
    "seconds": Unit("Time in training steps", "Time", {"s": 1, "min": 60, "h": 3600}),
}


@dataclass(frozen=True)
class IntervalAxis:
    """An axis at whose ends intervals are clipped."""

    low: float
    high: float
    log: bool

    def clip(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of ``frame`` that have an interval, clipped at the ends of the axis."""
        found = frame[frame["low"].notna()]
        return found.assign(low=found["low"].clip(self.low, self.high), high=found["high"].clip(self.low, self.high))

    def clipped_ends(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return one row per end at which an interval extends beyond the axis, with columns ``at`` and ``shape``."""
        left = frame[frame["low"] < self.low].assign(at=self.low, shape="triangle-left")
        right = frame[frame["high"] > self.high].assign(at=self.high, shape="triangle-right")
        return pd.concat([left, right], ignore_index=True)


class ErrorAxis(IntervalAxis):
    """An axis of errors in percent."""

    @classmethod
    def for_errors(cls, errors: "pd.Series[float]", means: pd.DataFrame, zero: bool) -> "ErrorAxis":
        """Return the axis that shows all ``errors``, and intervals of ``means`` that do not extend far beyond them.

        With ``zero``, a linear axis starts at 0.
        """
        near = (
            means["low"].clip(lower=errors.min() / MAX_EXTENSION),
            means["high"].clip(upper=errors.max() * MAX_EXTENSION),
        )
        shown = pd.concat([errors, *near])
        low, high = float(shown.min()), min(float(shown.max()), 100.0)
        if low > 0 and high / low >= LOG_FROM:
            return cls(low / 1.1, min(high * 1.1, 100.0), True)
        room = max(0.05 * (high - low), 0.2)
        return cls(0.0 if zero else max(low - room, 0.0), min(high + room, 100.0), False)

    def encode(self, channel: Any, name: str, title: str | None, **axis: Any) -> Any:
        """Encode field ``name`` on ``channel`` (alt.X or alt.Y) along this axis."""
        ticks = {"values": [tick for tick in TICKS if self.low <= tick <= self.high]} if self.log else {}
        scale = alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False)
        unit = "%, log scale" if self.log else "%"
        text = f"{title} ({unit})" if title else None
        return channel(f"{name}:Q", title=text, scale=scale, axis=alt.Axis(**ticks, **axis))


def decades(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, and if fewer than two fit, also 2 and 5 times these."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5)):
        ticks = [float(f"{step}e{power}") for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) > 1:
            break
    return ticks


def cost_size(largest: float, against: str) -> tuple[str, float]:
    """Return name and size of the unit in which costs up to ``largest`` are counted."""
    sizes = UNITS[against].sizes
    fitting = [name for name, size in sizes.items() if largest >= 2 * size]
    name = fitting[-1] if fitting else next(iter(sizes))
    return name, sizes[name]


def cost_title(against: str, size: str, small: bool = False) -> str:
    """Return the title of a cost axis with its unit."""
    text = UNITS[against].short if small else UNITS[against].title
    return f"{text} ({size})" if size else text


def cost_axis(field: str, against: str, size: str, named: bool = True, small: bool = False) -> Any:
    """Return the axis of a cost that is already counted in ``size``; without title and labels unless ``named``."""
    axis = alt.Axis(tickCount=4 if small else 8, grid=False, format="~s", labels=named)
    title = cost_title(against, size, small) if named else None
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(nice=False), axis=axis)
