"""The table of a search space: the range or choices of each setting."""

import pandas as pd

from analysis.frames.searches import SearchPlan, Setting, setting_text
from analysis.tables.settings import ALL
from analysis.tables.writers import Tabular

HEAD = ["setting", "range or choices", "cells"]


def space_table(plan: SearchPlan) -> Tabular:
    """Return one line per setting and range, with the cells that have it; the CSV has the same lines."""
    having: dict[tuple[str, str], list[str]] = {}
    for cell, settings in plan.settings.items():
        for setting in settings:
            having.setdefault((_named(setting), _range(setting)), []).append(cell)
    lines = [
        [name, drawn, ALL if len(cells) == len(plan.cells) else ", ".join(cells)]
        for (name, drawn), cells in having.items()
    ]
    numbers = pd.DataFrame(lines, columns=HEAD)
    return Tabular("space", f"Search space of {plan.name}", HEAD, lines, numbers, texts=3, long=True)


def _named(setting: Setting) -> str:
    return f"{setting.path} as a multiple of {setting.times}" if setting.times else setting.path


def _range(setting: Setting) -> str:
    """Return the range or choices of a setting, and the condition under which it exists."""
    if setting.values:
        drawn = " or ".join(map(setting_text, setting.values))
    else:
        kind = "log-uniform" if setting.log else "uniform"
        drawn = f"{setting.low:g} to {setting.high:g}, {kind}{', integers' if setting.integer else ''}"
    return f"{drawn}, if {setting.when[0]} is {setting_text(setting.when[1])}" if setting.when else drawn
