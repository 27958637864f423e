"""What every report has: a folder to write to, figures as PNG and SVG, and what it tells who asked for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.theme import save


@dataclass(frozen=True)
class Report:
    """What ``report`` wrote."""

    study: str  # key of the study or search
    paths: tuple[Path, ...]  # the page first, then figures and tables
    table: pd.DataFrame  # columns analysis.table.TABLE, or analysis.search_table.SEARCH_TABLE
    text: str  # the table as Markdown, and what its numbers are

    def __str__(self) -> str:
        return "\n".join([self.study, "", self.text, *map(str, self.paths)])


def make_folder(out: Path) -> None:
    """Make the folder of the figures. Raises ValueError where a file is in its place."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give --out a folder for the figures")
    out.mkdir(parents=True, exist_ok=True)


def save_figure(chart: Any | None, stem: Path) -> tuple[Path, ...]:
    """Write a figure; without a chart, take away the one of an earlier report, which would pass for this one's."""
    if chart is not None:
        return save(chart, stem)
    for suffix in (".png", ".svg"):
        stem.with_suffix(suffix).unlink(missing_ok=True)
    return ()
