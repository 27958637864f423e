"""The values of each setting in the best trials, within the range or choices of the search."""

import json
import math
import sys
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.script import search_figure
from analysis.figures.style.legend import cell_color
from analysis.figures.style.theme import WIDTH, Style, cell_styles, title
from analysis.frames.searches import Setting, setting_text
from analysis.frames.trials import Trials
from analysis.stats.trials import choice_settings, choice_values, range_settings, range_values

BEST = 3  # number of trials per cell that are marked

UNITS = {  # of settings that have one
    "epochs": "epochs",
    "optim.warmup": "epochs",
    "data.size": "pixels",
    "batch": "images",
    "rule.angle": "°",
    "rule.samples": "samples per mirror step",
    "rule.extent": "positions",
    "rule.interval": "training steps",
    "rule.warmup": "mirror steps",
}

RANK_SPACING = 0.13  # distance between the marks of two ranks, as a fraction of a choice's width

ROWS = {"labelLimit": 110, "labelPadding": 6, "ticks": False, "domain": False, "minExtent": 30}


def best_settings_chart(trials: Trials) -> Any | None:
    """Draw the settings of the best trials.

    Args:
        trials: The trials of a search.

    Returns:
        An Altair chart; None if no finished trial has a searched setting.

    Example:
        >>> best_settings_chart(trials).save("best_settings.html")  # doctest: +SKIP
    """
    numbers, chosen = (_finished(values) for values in (range_values(trials), choice_values(trials)))
    if numbers.empty and chosen.empty:
        return None
    rules = dict(zip(trials.frame["cell"], trials.frame["rule"], strict=True))
    styles = cell_styles(rules)
    settings = {
        s.name: s for cell in trials.plan.cells for s in (*range_settings(trials, cell), *choice_settings(trials, cell))
    }
    panels = [_panel(numbers, settings[name], trials, styles) for name in settings if name in set(numbers["setting"])]
    panels += [_chosen(chosen, settings[name], trials, styles) for name in settings if name in set(chosen["setting"])]
    caption = ["filled: best trial", f"rings: next {BEST - 1}", "pale: other finished and diverged trials"]
    caption += ["the position within a choice has no meaning"] if len(chosen) else []
    heading = title("Settings of the best trials", caption)
    return alt.vconcat(*panels, spacing=10, title=heading)


def _finished(values: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of settings that a finished trial has."""
    return values[values["setting"].isin(values.loc[values["rank"].notna(), "setting"])]


def _panel(values: pd.DataFrame, setting: Setting, trials: Trials, styles: dict[str, Style]) -> Any:
    here = values[values["setting"] == setting.name]
    cells = [cell for cell in trials.plan.cells if cell in set(here["cell"])]
    ends = [s for cell in cells for s in range_settings(trials, cell) if s.name == setting.name]
    low, high = min(s.low for s in ends), max(s.high for s in ends)
    return _rows(here, _axis(setting, low, high), cells, styles, _name(setting))


def _chosen(values: pd.DataFrame, setting: Setting, trials: Trials, styles: dict[str, Style]) -> Any:
    """Return the panel of a setting with choices; within a choice, trials are placed side by side."""
    here = values[values["setting"] == setting.name]
    cells = [cell for cell in trials.plan.cells if cell in set(here["cell"])]
    had = [s.values for cell in cells for s in choice_settings(trials, cell) if s.name == setting.name]
    names = list(dict.fromkeys(setting_text(value) for values in had for value in values))
    texts = here["value"].map(lambda value: value if isinstance(value, str) else setting_text(value))
    within = here["trial"] / max(int(here["trial"].max()), 1) - 0.5
    shifts = (here["rank"] - (BEST + 1) / 2).where(here["rank"] <= BEST) * RANK_SPACING
    here = here.assign(value=texts.map(names.index) + shifts.fillna(0.7 * within))
    axis = alt.Axis(
        values=list(range(len(names))),
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelLimit=WIDTH / len(names),
        grid=False,
    )
    scale = alt.Scale(domain=[-0.5, len(names) - 0.5], nice=False)
    return _rows(here, alt.X("value:Q", title=None, scale=scale, axis=axis), cells, styles, _name(setting))


def _rows(here: pd.DataFrame, x: Any, cells: list[str], styles: dict[str, Style], name: str) -> Any:
    """Return one row per cell: its best trial, the next ones, and the others."""
    y = alt.Y("cell:N", title=None, sort=cells, axis=alt.Axis(**ROWS))
    shared = {"x": x, "y": y, "color": cell_color(styles, None)}
    best, next_ = here[here["rank"] == 1], here[(here["rank"] > 1) & (here["rank"] <= BEST)]
    marks = [
        alt.Chart(here).mark_tick(thickness=1, size=9, opacity=0.3).encode(**shared),
        alt.Chart(next_).mark_point(size=36, strokeWidth=1.5, opacity=1, fill="white").encode(**shared),
        alt.Chart(best).mark_point(size=52, filled=True, opacity=1).encode(**shared),
    ]
    over = alt.TitleParams(name, fontSize=11, fontWeight="normal", offset=3, frame="group")
    return alt.layer(*marks).properties(width=WIDTH, height=alt.Step(15), title=over)


def _name(setting: Setting) -> str:
    unit = f" ({UNITS[setting.path]})" if setting.path in UNITS else ""
    label = f"{setting.path} as a multiple of {setting.times}" if setting.times else setting.path + unit
    return f"{label}, log scale" if setting.log else label


def _axis(setting: Setting, low: float, high: float) -> Any:
    if setting.log and low > 0:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1,) if high / low > 300 else (1, 2, 5) if high / low < 30 else (1, 3)
        ticks = [tick for p in powers for s in steps if low <= (tick := float(f"{s}e{p}")) <= high * 1.0001]
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        return alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(values=ticks, format="~g"))
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    return alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5))


SCRIPT = search_figure("best_settings", best_settings_chart, "a finished trial")

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
