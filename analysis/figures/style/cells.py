"""The cells that a figure shows, and the line that represents each of them."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from analysis.figures.style.theme import Style, cell_styles
from analysis.frames.study import Frames, rows
from analysis.stats.chance import outcome_counts
from analysis.text.study import failed_in_words, legend_labels
from nowt.core.formatting import counted

MAX_LINES = 6  # largest number of panels, and of lines with bands in one panel


@dataclass(frozen=True)
class Lines:
    """The lines of a figure, in the study's order."""

    by_cell: dict[str, str]  # line, by cell
    styles: dict[str, Style]  # style, by line
    labels: dict[str, str]  # label in the legend, by line

    def add_to(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of ``frame`` whose cell has a line, with a column ``line``."""
        return frame[frame["cell"].isin(list(self.by_cell))].assign(line=lambda rows: rows["cell"].map(self.by_cell))


def models_of(frames: Frames) -> dict[str, str]:
    """Return the model of each cell, in the study's order."""
    return {cell: str(config["model"]["name"]) for cell, config in frames.study.cells.items()}


def lines_of(frames: Frames) -> Lines:
    """Return the lines of the counted cells: one per rule, or one per cell if a model has two cells of a rule."""
    counts = outcome_counts(frames)
    counted = [cell for cell in frames.study.cells if cell in set(counts["cell"])]
    rules = {cell: str(frames.study.cells[cell]["rule"]["name"]) for cell in frames.study.cells}
    if not _by_rule(frames, rules):
        styles = {cell: style for cell, style in cell_styles(rules).items() if cell in counted}
        return Lines({cell: cell for cell in counted}, styles, legend_labels(counts, list(frames.study.cells)))
    of = {cell: rules[cell] for cell in counted}
    summed = counts.assign(cell=counts["cell"].map(of)).groupby("cell", sort=False).sum().reset_index()
    labels = legend_labels(summed, list(dict.fromkeys(of.values())))
    return Lines(of, cell_styles({rule: rule for rule in labels}), labels)


def cell_labels(frames: Frames) -> dict[str, str]:
    """Return the label of each cell in legends and titles; it says how many of its runs have not learned."""
    labels = legend_labels(outcome_counts(frames), list(frames.study.cells))
    return {cell: labels.get(cell, cell) for cell in frames.study.cells}


def failed_notes(frames: Frames, cells: Collection[str]) -> list[str]:
    """Return what the caption of a figure without such labels says about these cells; empty if all runs learned."""
    counts = outcome_counts(frames)
    failed = [(row.cell, failed_in_words(row)) for row in rows(counts)]
    return [f"{cell}: {words}" for cell, words in failed if words and cell in cells]


def _by_rule(frames: Frames, rules: dict[str, str]) -> bool:
    models = models_of(frames)
    pairs = [(models[cell], rules[cell]) for cell in frames.study.cells]
    return len(set(models.values())) > 1 and len(set(pairs)) == len(pairs)


@dataclass(frozen=True)
class Selection:
    """The cells that a figure shows, and what its caption says about the others."""

    cells: list[str]
    note: list[str]  # empty if all are shown


def select_cells(frames: Frames, cells: list[str]) -> Selection:
    """Select the first cells of each rule, in the study's order: at most MAX_LINES, and at least one per rule."""
    rules = {cell: str(frames.study.cells[cell]["rule"]["name"]) for cell in cells}
    of = {rule: [cell for cell in cells if rules[cell] == rule] for rule in rules.values()}
    most = max(map(len, of.values()), default=0)
    each = max([n for n in range(1, most + 1) if sum(len(mine[:n]) for mine in of.values()) <= MAX_LINES], default=1)
    kept = [cell for cell in cells if cell in of[rules[cell]][:each]]
    return Selection(kept, _left_out(len(cells) - len(kept), each))


def _left_out(others: int, each: int) -> list[str]:
    first = "the first cell of each rule" if each == 1 else f"the first {each} cells of each rule"
    return [f"{first}; {counted(others, 'other')} not shown"] if others else []
