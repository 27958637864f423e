"""Why a cell is not compared with another one, for the tables and the section of comparisons."""

from collections import Counter

import pandas as pd

from analysis.frames.studies import StudyPlan
from analysis.stats.contrasts import references
from nowt.core.formatting import counted


def not_compared(study: StudyPlan, tests: pd.DataFrame) -> dict[str, str]:
    """Return the reason for each cell that has no row in ``tests`` (of ``compare_cells``), except the reference."""
    against, compared = references(study), {study.reference, *tests["cell"]}
    uses = Counter(base for cell, base in against.items() if cell != base)
    return {cell: _reason(study, cell, against.get(cell), uses[cell]) for cell in study.cells if cell not in compared}


def not_compared_in_words(study: StudyPlan, tests: pd.DataFrame) -> str:
    """Return a sentence that names these cells by reason; empty if there are none, or no comparison at all."""
    by_reason: dict[str, list[str]] = {}
    for cell, reason in not_compared(study, tests).items():
        by_reason.setdefault(reason, []).append(cell)
    listed = "; ".join(f"{', '.join(cells)} ({reason})" for reason, cells in by_reason.items())
    return f"Not compared: {listed}." if listed and not tests.empty else ""


def _reason(study: StudyPlan, cell: str, against: str | None, uses: int) -> str:
    if study.reference not in study.cells:
        return "no reference"
    if against is None:
        return "pinned seed"
    if against == cell:
        return f"reference of {counted(uses, 'cell')}"
    return f"no seed shared with {against}"
