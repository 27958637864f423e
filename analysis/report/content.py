"""The parts of a report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.options import Options
from analysis.frames.searches import SearchPlan
from analysis.frames.studies import StudyPlan


@dataclass(frozen=True)
class Figure:
    """One figure of a report."""

    name: str  # stem of its files
    caption: str
    chart: Any | None  # an Altair chart; None if there is nothing to draw


@dataclass(frozen=True)
class RenderedFigure:
    """A figure and its Vega-Lite specification."""

    figure: Figure
    spec: dict[str, Any]


@dataclass(frozen=True)
class Content:
    """The contents of a report."""

    plan: StudyPlan | SearchPlan
    options: Options
    figures: tuple[Figure, ...]
    table: pd.DataFrame
    text: str  # Markdown: the table and its notes
    missing: str  # Markdown: runs or trials that are not included
    switches: dict[str, list[str]]  # what the HTML page can hide: a name, and its cells
    rules: dict[str, str]  # the rule of each cell, as figures name it
    findings: str = ""  # Markdown: the findings, for the terminal
    sections: str = ""  # Markdown: the findings for the page, with embedded figures

    def embeds(self, figure: Figure) -> bool:
        """Return whether ``sections`` embeds the figure."""
        return f"]({figure.name}.png)" in self.sections


@dataclass(frozen=True)
class Report:
    """The files that ``report`` wrote, and its main table.

    Attributes:
        study: Key of the study or search.
        paths: report.md first, then figures and tables, then report.html and manifest.json.
        table: The main table, columns ``analysis.tables.final.TABLE`` or, for a search,
            ``analysis.tables.search.SEARCH_TABLE``.
        text: The table with its notes and the findings, as Markdown.
    """

    study: str
    paths: tuple[Path, ...]
    table: pd.DataFrame
    text: str

    def __str__(self) -> str:
        return "\n".join([self.study, "", self.text, *map(str, self.paths)])
