"""The main table for a paper: final error by model and rule, with interval, gap, p value and verdict.

Published errors are a column of this table if the study's data are ImageNet, and otherwise a separate table.
"""

from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.published import NETS
from analysis.stats.chance import COUNTS, Chance
from analysis.tables.comparison import gap_text, verdict_cell, within
from analysis.tables.published import DATA, SOURCE_NOTE, published_finals, published_text
from analysis.tables.writers import Tabular
from analysis.text.formatting import MISSING, interval, number, p_value
from analysis.text.not_compared import not_compared
from analysis.text.study import failed_in_words, some_seeds

INTERVAL = ["error_percent", "error_low_percent", "error_high_percent"]

ERRORS = ["cell", "rule", "n", "diverged", *COUNTS.values(), *INTERVAL]

TESTS = ["cell", "against", "gap_n", "mean", "low", "high", "p_holm", "verdict", "p_verdict"]


def errors_table(frames: Frames, table: pd.DataFrame, tests: pd.DataFrame, margin: float | None, split: str) -> Tabular:
    """Return the table from a study's ``final_table`` and ``compare_cells``. ``split`` is test or validation.

    Its last column states how many runs diverged or ended at chance; without such runs, there is no such column.
    """
    joined = _joined(frames, table, tests)
    beside, failed = bool(joined["published"].ne("").any()), bool(joined["failed"].ne("").any())
    gap = ["against", "gap, points", "95 % interval", "p, Holm"]
    head = ["model", "cell", "rule", "seeds", f"{split} error, %", "95 % interval", *gap]
    head += within(margin) + ["published, %"] * beside + ["diverged or at chance"] * failed
    lines = [
        [*_line(row, margin), *[row.published or MISSING] * beside, *[row.failed or MISSING] * failed]
        for row in rows(joined)
    ]
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


def _joined(frames: Frames, table: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell: its numbers, and what the table says in words."""
    cells = frames.study.cells
    numbers = table.assign(**Chance.of(frames).counts(table["cell"]))[ERRORS]
    joined = numbers.merge(tests.rename(columns={"n": "gap_n"})[TESTS], on="cell", how="left")
    published = {
        name: published_text(config["model"]["name"], config["rule"]["name"]) if config["data"]["name"] == DATA else ""
        for name, config in cells.items()
    }
    reasons = {name: f"not compared: {reason}" for name, reason in not_compared(frames.study, tests).items()}
    return joined.assign(
        base_n=joined["against"].map(table.set_index("cell")["n"]),
        model=[cells[cell]["model"]["name"] for cell in joined["cell"]],
        published=joined["cell"].map(published),
        failed=[failed_in_words(row) for row in rows(joined)],
        alone=[reasons.get(cell, "reference") for cell in joined["cell"]],
    )


def _line(row: Any, margin: float | None) -> list[str]:
    seeds = "" if pd.isna(row.against) else some_seeds(int(row.gap_n), row.n, int(row.base_n))
    gap = [str(row.against), gap_text(row) + seeds, interval(row.low, row.high, "+"), p_value(row.p_holm)]
    gap = [MISSING, row.alone, MISSING, MISSING] if pd.isna(row.against) else gap
    verdict = MISSING if pd.isna(row.against) else verdict_cell(row)
    error = [number(row.error_percent), interval(row.error_low_percent, row.error_high_percent)]
    return [row.model, row.cell, row.rule, str(row.n), *error, *gap, *[verdict] * (margin is not None)]


def _numbers(joined: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the CSV, named with their units."""
    names = {"mean": "gap_points", "low": "gap_low_points", "high": "gap_high_points", "published": "published_percent"}
    first = ["model", *ERRORS]
    joined = joined.drop(columns=["base_n", "failed", "alone"])
    return joined[[*first, *(name for name in joined if name not in first)]].rename(columns=names)
