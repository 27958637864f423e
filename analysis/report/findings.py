"""The findings of a study: comparisons, effects, variance components, and tables and methods for a paper."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.figures.forest import effects_caption, forest_chart
from analysis.figures.variance import variance_chart
from analysis.frames.study import Frames
from analysis.report.content import Figure
from analysis.stats.bootstrap import with_image_intervals
from analysis.stats.chance import Chance
from analysis.stats.claim import ClaimTest
from analysis.stats.effects import effects
from analysis.stats.paired import compare_cells
from analysis.stats.seeds import scored_split
from analysis.stats.typical import typical_gaps
from analysis.stats.variance import variance_split
from analysis.tables.claim import claim_table
from analysis.tables.comparison import comparison_table, typical_table
from analysis.tables.errors import errors_table, published_table
from analysis.tables.settings import settings_table
from analysis.tables.variance import variance_table
from analysis.tables.writers import Tabular, markdown, markdown_text, save_tabular, write_text
from analysis.text.claim import claim_caption
from analysis.text.comparison import comparison_notes, sentences, typical_in_words
from analysis.text.methods import methods
from analysis.text.not_compared import not_compared_in_words
from analysis.text.study import SPLITS
from analysis.text.variance import variance_in_words


@dataclass(frozen=True)
class Findings:
    """The findings of a study, and the files that contain them."""

    text: str  # one sentence per comparison, and what the tests are
    page: str  # sections of report.md
    figures: tuple[Figure, ...]  # figures in these sections
    paths: tuple[Path, ...]  # tables and methods paragraph


def study_findings(
    frames: Frames, table: pd.DataFrame, out: Path, margin: float | None, claim: ClaimTest | None
) -> Findings:
    """Write the tables and the methods paragraph into ``out``.

    ``table`` is the study's ``final_table``; ``margin`` is in percentage points; ``claim`` is the test of its claim.
    """
    split = SPLITS[scored_split(frames)]
    tests = with_image_intervals(compare_cells(frames, margin), frames)
    components, typical = variance_split(frames), typical_gaps(frames)
    chance, found = Chance.of(frames), effects(frames)
    paragraph = markdown_text(methods(frames, tests, margin, claim))
    band = claim.claim.margin if margin is None and claim is not None else margin
    figures = (
        Figure("effects", effects_caption(found), forest_chart(found, split, band, claim_caption(claim))),
        Figure("variance", "Variance of the error by source", variance_chart(components, split)),
    )
    tables = {
        "claim": claim_table(claim),
        "comparison": None if tests.empty else comparison_table(tests, margin),
        "interquartile": typical_table(typical),
        "variance": variance_table(components),
        "errors": errors_table(frames, table, tests, margin, split),
        "published": published_table(frames),
        "settings": settings_table(frames.study),
    }
    saved = [path for one in tables.values() if one is not None for path in save_tabular(one, out)]
    write_text(out / "methods.md", paragraph + "\n")
    hint = "Use --margin POINTS to test equivalence." if band is None and not tests.empty else ""
    notes = _notes(not_compared_in_words(frames.study, tests), comparison_notes(tests, margin), hint, typical)
    findings = [*sentences(tests, margin, chance), *variance_in_words(components, chance)]
    text = "\n".join([*(f"- {markdown_text(sentence)}" for sentence in findings), "", notes]).strip()
    page = _page(text, figures, tables, paragraph)
    return Findings(text, page, figures, (*saved, out / "methods.md"))


def _notes(left_out: str, compared: str, hint: str, typical: pd.DataFrame) -> str:
    return markdown_text(" ".join(part for part in (left_out, compared, hint, typical_in_words(typical)) if part))


def _page(text: str, figures: tuple[Figure, ...], tables: dict[str, Tabular | None], paragraph: str) -> str:
    drawn = [f"![{markdown_text(figure.caption)}]({figure.name}.png)" for figure in figures if figure.chart is not None]
    shown = [tables[name] for name in ("claim", "comparison", "interquartile", "variance", "published")]
    parts = [
        "## Comparisons",
        *drawn,
        text,
        *(f"{markdown_text(one.caption.rstrip('.'))}:\n\n{markdown(one)}".rstrip() for one in shown if one is not None),
        "## Methods",
        paragraph,
        "The tables of errors, comparisons and settings are available as Markdown, CSV and LaTeX (`errors.tex`, ...).",
    ]
    return "\n\n".join(part for part in parts if part)
