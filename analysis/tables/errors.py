"""The main table for a paper: final error by model and rule, with interval, gap, p value and verdict.

Published errors are a column of this table if the study's data are ImageNet, and otherwise a separate table.
"""

from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.published import NETS
from analysis.tables.comparison import gap_text, verdict_cell, within
from analysis.tables.published import DATA, SOURCE_NOTE, published_finals, published_text
from analysis.tables.writers import Tabular
from analysis.text.formatting import interval, number, p_value
from analysis.text.study import some_seeds

ERRORS = ["cell", "rule", "n", "diverged", "error_percent", "error_low_percent", "error_high_percent"]

TESTS = ["cell", "against", "gap_n", "mean", "low", "high", "p_holm", "verdict", "p_verdict"]


def errors_table(frames: Frames, table: pd.DataFrame, tests: pd.DataFrame, margin: float | None, split: str) -> Tabular:
    """Return the table from a study's ``final_table`` and ``compare_cells``. ``split`` is test or validation."""
    cells = frames.study.cells
    models = {name: config["model"]["name"] for name, config in cells.items()}
    known = {
        name: published_text(models[name], config["rule"]["name"]) if config["data"]["name"] == DATA else ""
        for name, config in cells.items()
    }
    joined = table[ERRORS].merge(tests.rename(columns={"n": "gap_n"})[TESTS], on="cell", how="left")
    joined = joined.assign(base_n=joined["against"].map(table.set_index("cell")["n"]))
    joined = joined.assign(model=joined["cell"].map(models), published=joined["cell"].map(known))
    beside = joined["published"].ne("").any()
    gap = ["against", "gap, points", "95 % interval", "p, Holm"]
    head = ["model", "cell", "rule", "seeds", f"{split} error, %", "95 % interval", *gap]
    head += within(margin) + ["published, %"] * bool(beside)
    lines = [_line(row, margin, bool(beside)) for row in rows(joined)]
    caption = f"Final {split} error by model and rule" + (f". {SOURCE_NOTE}" if beside else "")
    return Tabular("errors", caption, head, lines, _numbers(joined), texts=3)


def published_table(frames: Frames) -> Tabular | None:
    """Return the published errors of the study's rules as a separate table.

    None if there are none, or if ``errors_table`` includes them.
    """
    names = {config["rule"]["name"] for config in frames.study.cells.values()}
    found = published_finals()
    found = found[found["rule"].isin(names)]
    if found.empty or any(config["data"]["name"] == DATA for config in frames.study.cells.values()):
        return None
    rules = list(dict.fromkeys(found["rule"]))
    lines = [[rule, *(published_text(net, rule) or "–" for net in NETS)] for rule in rules]
    head = ["rule", *(f"{net} on ImageNet, %" for net in NETS.values())]
    caption = f"Published final errors on other data and networks, not comparable with this study. {SOURCE_NOTE}"
    return Tabular("published", caption, head, lines, found)


def _line(row: Any, margin: float | None, beside: bool) -> list[str]:
    seeds = "" if pd.isna(row.against) else some_seeds(int(row.gap_n), row.n, int(row.base_n))
    gap = [str(row.against), gap_text(row) + seeds, interval(row.low, row.high, "+"), p_value(row.p_holm)]
    gap = ["–", "reference", "–", "–"] if pd.isna(row.against) else gap
    verdict = "–" if pd.isna(row.against) else verdict_cell(row)
    error = [number(row.error_percent), interval(row.error_low_percent, row.error_high_percent)]
    further = [verdict] * (margin is not None) + [row.published or "–"] * beside
    return [row.model, row.cell, row.rule, str(row.n), *error, *gap, *further]


def _numbers(joined: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the CSV, named with their units."""
    names = {"mean": "gap_points", "low": "gap_low_points", "high": "gap_high_points", "published": "published_percent"}
    first = ["model", *ERRORS]
    joined = joined.drop(columns="base_n")
    return joined[[*first, *(name for name in joined if name not in first)]].rename(columns=names)
