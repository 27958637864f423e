"""Which differences of a study are real: comparisons, effects, variance, and what a paper says of them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.figures.forest import forest_chart
from analysis.figures.variance import variance_chart
from analysis.frames.study import Frames
from analysis.report.content import Figure
from analysis.stats.effects import effects
from analysis.stats.paired import compare_cells
from analysis.stats.seeds import scored_split
from analysis.stats.typical import typical_gaps
from analysis.stats.variance import variance_split
from analysis.tables.comparison import comparison_table, typical_table
from analysis.tables.errors import errors_table, published_table
from analysis.tables.settings import settings_table
from analysis.tables.variance import variance_table
from analysis.tables.writers import Tabular, markdown, save_tabular
from analysis.text.comparison import comparison_notes, sentences, typical_in_words
from analysis.text.methods import methods
from analysis.text.study import SPLITS
from analysis.text.variance import variance_in_words


@dataclass(frozen=True)
class Findings:
    """What was found, and what of it was written."""

    text: str  # one sentence a comparison, and what the tests are
    page: str  # sections of the report's page
    figures: tuple[Figure, ...]  # that stand on the page
    paths: tuple[Path, ...]  # tables, methods


def findings(frames: Frames, table: pd.DataFrame, out: Path, margin: float | None) -> Findings:
    """Write tables and the methods paragraph. ``table`` is that of analysis.tables.final, ``margin`` in points."""
    split = SPLITS[scored_split(frames)]
    tests, scatter, typical = compare_cells(frames, margin), variance_split(frames), typical_gaps(frames)
    paragraph = methods(frames, tests, margin)
    figures = (
        Figure("effects", "Effects on the error", forest_chart(effects(frames), split, margin)),
        Figure("variance", "What makes the error scatter", variance_chart(scatter, split)),
    )
    tables = {
        "comparison": None if tests.empty else comparison_table(tests, margin),
        "interquartile": typical_table(typical),
        "variance": variance_table(scatter),
        "errors": errors_table(frames, table, tests, margin, split),
        "published": published_table(frames),
        "settings": settings_table(frames.study),
    }
    saved = [path for one in tables.values() if one is not None for path in save_tabular(one, out)]
    (out / "methods.md").write_text(paragraph + "\n", encoding="utf-8")
    hint = "--margin POINTS tests which cells are equal." if margin is None and not tests.empty else ""
    notes = " ".join(part for part in (comparison_notes(tests, margin), hint, typical_in_words(typical)) if part)
    said = [*sentences(tests, margin), *variance_in_words(scatter)]
    text = "\n".join([*(f"- {sentence}" for sentence in said), "", notes]).strip()
    page = _page(text, figures, tables, paragraph)
    return Findings(text, page, figures, (*saved, out / "methods.md"))


def _page(text: str, figures: tuple[Figure, ...], tables: dict[str, Tabular | None], paragraph: str) -> str:
    drawn = [f"![{figure.caption}]({figure.name}.png)" for figure in figures if figure.chart is not None]
    shown = [tables[name] for name in ("comparison", "interquartile", "variance", "published")]
    parts = [
        "## Which differences are real",
        *drawn,
        text,
        *(f"{one.caption.rstrip('.')}:\n\n{markdown(one)}".rstrip() for one in shown if one is not None),
        "## Methods",
        paragraph,
        "For a paper: errors, comparison and settings as Markdown, CSV and LaTeX (`errors.tex` and so on).",
    ]
    return "\n\n".join(part for part in parts if part)
