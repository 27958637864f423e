"""What a report consists of."""

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

    name: str  # of its files, without suffix
    caption: str
    chart: Any | None  # an Altair chart; None where there is nothing to draw


@dataclass(frozen=True)
class Drawn:
    """A figure that there is, and its Vega-Lite specification."""

    figure: Figure
    spec: dict[str, Any]


@dataclass(frozen=True)
class Content:
    """What a report says."""

    plan: StudyPlan | SearchPlan
    options: Options
    figures: tuple[Figure, ...]
    table: pd.DataFrame
    text: str  # Markdown: the table, and what its numbers are
    missing: str  # Markdown: what does not count
    switches: dict[str, list[str]]  # what the web page can switch off: a name, and the cells that go with it
    found: str = ""  # Markdown: what follows from it, for who asked
    more: str = ""  # Markdown: the same for the page, with figures of its own in their places

    def places(self, figure: Figure) -> bool:
        """Whether the text has a place for the figure."""
        return f"]({figure.name}.png)" in self.more


@dataclass(frozen=True)
class Report:
    """What ``report`` wrote."""

    study: str  # key of the study or search
    paths: tuple[Path, ...]  # the page first, then figures and tables, then the web page and the manifest
    table: pd.DataFrame  # columns analysis.tables.final.TABLE, or analysis.tables.search.SEARCH_TABLE
    text: str  # the table as Markdown, and what its numbers are

    def __str__(self) -> str:
        return "\n".join([self.study, "", self.text, *map(str, self.paths)])
