"""The search space for a paper: the table of ranges, and the methods paragraph filled in from the study file."""

import pandas as pd

from analysis.frames.searches import SearchPlan, Setting, spoken
from analysis.frames.trials import Trials
from analysis.stats.contrasts import flat
from analysis.tables.settings import ALL
from analysis.tables.writers import Tabular
from analysis.text.methods import Shared, surrounding
from analysis.text.search import search_in_words

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


def search_methods(trials: Trials) -> str:
    """One paragraph: what was held, what was searched, and how."""
    plan = trials.plan
    searched = {cell: {setting.path for setting in settings} for cell, settings in plan.settings.items()}
    held = {
        cell: {name: value for name, value in flat(config).items() if name not in searched[cell]}
        for cell, config in plan.cells.items()
    }
    names = ", ".join(dict.fromkeys(setting.path for settings in plan.settings.values() for setting in settings))
    shared = "; what cells have in common was drawn once and used by all" if plan.independent else ""
    counted = f"{len(trials.counted)} of {len(trials.frame)} trials ran to an end of their own."
    drawn = f"Searched, from the ranges of the table of the space: {names}{shared}."
    return " ".join([surrounding(Shared(held)), drawn, search_in_words(trials), counted])


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
