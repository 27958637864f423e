"""The final table: one row per cell, from each run's last epoch."""

from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames.schema import enforce_schema
from analysis.frames.study import Frames, rows
from analysis.stats.chance import Chance
from analysis.stats.layers import final_angles
from analysis.stats.seeds import (
    diverged_counts,
    error_curves,
    final_errors,
    mean_interval,
    paired_gaps,
    scored_split,
)
from analysis.tables.writers import markdown_rows, write_csv, write_text
from analysis.text.formatting import MISSING, angle, interval, number
from analysis.text.study import failed_in_words, neither_in_words, some_seeds

TABLE = {
    "cell": "str",
    "rule": "str",
    "n": "int64",  # number of finished and diverged runs
    "diverged": "int64",  # number of diverged runs
    "error_percent": "float64",  # mean over seeds, at the last epoch
    "error_low_percent": "float64",  # 95 % t interval
    "error_high_percent": "float64",
    "gap_n": "int64",  # number of seeds shared with the reference
    "gap_points": "float64",  # percentage points above the reference, paired by seed
    "gap_low_points": "float64",
    "gap_high_points": "float64",
    "matrix_angle_degrees": "float64",  # at the last probe; median over layers, mean over finished runs
}


def final_table(frames: Frames) -> pd.DataFrame:
    """Summarize the final errors of a study.

    Args:
        frames: The study's frames.

    Returns:
        One row per cell in the study's order, columns ``TABLE``; NaN for what is not available.

    Example:
        >>> final_table(frames)[["cell", "error_percent", "gap_points"]]  # doctest: +SKIP
    """
    final = final_errors(error_curves(frames, scored_split(frames)))
    errors = _percent(mean_interval(final, ["cell"], "error"), "error", "percent").drop(columns="error_n")
    gaps = _percent(paired_gaps(final, frames.study.reference), "gap", "points")
    angles = final_angles(frames).rename(columns={"matrix_angle": "matrix_angle_degrees"})
    table = frames.runs[["cell", "rule"]].drop_duplicates("cell")
    for part in (diverged_counts(frames.runs), errors, gaps, angles):
        table = table.merge(part, on="cell", how="left")
    counts = ["n", "diverged", "gap_n"]
    return enforce_schema(table.fillna(dict.fromkeys(counts, 0)), TABLE).reset_index(drop=True)


def to_markdown(table: pd.DataFrame, reference: str, split: str, chance: Chance) -> str:
    """Return the table as Markdown, in percent, percentage points and degrees, with a dash for missing values.

    ``chance`` tells which runs have not learned, which the table then says.
    """
    its = "95 % interval"
    measured = [
        "seeds",
        f"{split} error, %",
        its,
        f"gap to {reference}, points",
        its,
        "matrix angle, °",
    ]
    head = ["cell", "rule", *measured, "diverged or at chance"]
    rules = ["---", "---", *["---:"] * len(measured), "---"]
    base = int(table.loc[table["cell"] == reference, "n"].max()) if reference in set(table["cell"]) else 0
    unlearned = table.assign(**chance.counts(table["cell"]))
    return markdown_rows([head, rules, *[_line(row, reference, base, chance) for row in rows(unlearned)]])


def save_table(table: pd.DataFrame, markdown: str, out: Path) -> tuple[Path, Path]:
    """Write the table into ``out`` as table.md and table.csv."""
    paths = out / "table.md", out / "table.csv"
    write_text(paths[0], markdown)
    write_csv(paths[1], table, "%.6g")
    return paths


def _percent(frame: pd.DataFrame, name: str, unit: str) -> pd.DataFrame:
    """Return an interval's columns in percent or percentage points, named with their unit."""
    names = {"mean": f"{name}_{unit}", "low": f"{name}_low_{unit}", "high": f"{name}_high_{unit}"}
    hundredths = frame.assign(**{column: 100 * frame[column] for column in names})
    return hundredths.rename(columns={**names, "n": f"{name}_n"})


def _line(row: Any, reference: str, base: int, chance: Chance) -> list[str]:
    """Return the cells of a row; ``base`` is the number of the reference's runs."""
    void = chance.void_in_all([(row.cell, reference)])
    gap = f"{number(row.gap_points, '+')}{some_seeds(row.gap_n, row.n, base)}{neither_in_words(void)}"
    return [
        row.cell,
        row.rule,
        str(row.n),
        number(row.error_percent),
        interval(row.error_low_percent, row.error_high_percent),
        "reference" if row.cell == reference else gap,
        MISSING if void else interval(row.gap_low_points, row.gap_high_points, "+"),
        angle(row.matrix_angle_degrees),
        failed_in_words(row) or MISSING,
    ]
