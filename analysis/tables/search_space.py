"""The search space for a paper: the table of ranges, and the methods paragraph filled in from the study file."""

import pandas as pd

from analysis.frames.searches import SearchPlan, Setting, spoken
from analysis.tables.settings import ALL
from analysis.tables.writers import Tabular

HEAD = ["setting", "drawn from", "cells"]


def space_table(plan: SearchPlan) -> Tabular:
    """One line a setting and range, and the cells that have it; its CSV has the same lines."""
    having: dict[tuple[str, str], list[str]] = {}
    for cell, settings in plan.settings.items():
        for setting in settings:
            having.setdefault((_named(setting), _range(setting)), []).append(cell)
    lines = [
        [name, drawn, ALL if len(cells) == len(plan.cells) else ", ".join(cells)]
        for (name, drawn), cells in having.items()
    ]
    numbers = pd.DataFrame(lines, columns=HEAD)
    return Tabular("space", f"What the search {plan.name} drew from", HEAD, lines, numbers, texts=3, long=True)


def _named(setting: Setting) -> str:
    return f"{setting.path} as a multiple of {setting.times}" if setting.times else setting.path


def _range(setting: Setting) -> str:
    """Where the values come from, and when the setting exists at all."""
    if setting.values:
        drawn = " or ".join(map(spoken, setting.values))
    else:
        kind = "log-uniform" if setting.log else "uniform"
        drawn = f"{setting.low:g} to {setting.high:g}, {kind}{', whole numbers' if setting.integer else ''}"
    return f"{drawn}, where {setting.when[0]} is {spoken(setting.when[1])}" if setting.when else drawn
