"""The table of all settings, for an appendix: one line per setting and value, with the cells that have it."""

from collections.abc import Iterator

import pandas as pd

from analysis.frames.studies import StudyPlan
from analysis.stats.contrasts import Fields, flat_config, value_text
from analysis.tables.writers import Tabular

SETTINGS = ["setting", "value", "cells"]

ALL = "all"


def settings_table(study: StudyPlan) -> Tabular:
    """Return the table of a study's settings, fields of the rule first; the CSV has the same lines.

    A setting that only some rules have, such as the mirror noise, lists only their cells. Seeds are not settings,
    except pinned ones.
    """
    cells = {name: flat_config(config) for name, config in study.cells.items()}
    lines = [line for name in _ordered(cells) for line in _lines(cells, name)]
    caption = f"All settings of study {study.name}"
    numbers = pd.DataFrame(lines, columns=SETTINGS)
    return Tabular("settings", caption, SETTINGS, lines, numbers, texts=2, long=True, last=r"0.4\linewidth")


def _ordered(cells: dict[str, Fields]) -> list[str]:
    names = list(dict.fromkeys(name for fields in cells.values() for name in fields))
    seeds = [name for name in names if name.startswith("seeds.") and all(f.get(name) is None for f in cells.values())]
    rule = [name for name in names if name.startswith("rule.")]
    return [*rule, *(name for name in names if name not in rule and name not in seeds)]


def _lines(cells: dict[str, Fields], name: str) -> Iterator[list[str]]:
    by_value: dict[str, list[str]] = {}
    for cell, fields in cells.items():
        if name in fields:
            by_value.setdefault(value_text(fields[name]), []).append(cell)
    for value, having in by_value.items():
        yield [name, value, ALL if len(having) == len(cells) else ", ".join(having)]
