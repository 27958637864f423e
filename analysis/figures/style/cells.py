"""Which cells a figure draws, and by which line: every cell, or the first ones of each rule where there are many."""

from dataclasses import dataclass

import pandas as pd

from analysis.figures.style.theme import Style, cell_styles
from analysis.frames.study import Frames, rows
from analysis.stats.seeds import diverged_counts
from analysis.text.study import diverged_in_words, legend_labels

MOST = 6  # panels, and lines with bands in one panel, that can be told apart


@dataclass(frozen=True)
class Lines:
    """The lines of a figure, in the study's order."""

    of: dict[str, str]  # by cell
    styles: dict[str, Style]  # by line
    labels: dict[str, str]  # by line, what the legend calls it

    def named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of ``frame`` that have a line, with the column ``line``."""
        return frame[frame["cell"].isin(list(self.of))].assign(line=lambda rows: rows["cell"].map(self.of))


def models_of(frames: Frames) -> dict[str, str]:
    """The model of each cell, in the study's order."""
    return {cell: str(config["model"]["name"]) for cell, config in frames.study.cells.items()}


def lines_of(frames: Frames) -> Lines:
    """The lines of the counted cells."""
    counts = diverged_counts(frames.runs)
    counted = [cell for cell in frames.study.cells if cell in set(counts["cell"])]
    rules = {cell: str(frames.study.cells[cell]["rule"]["name"]) for cell in frames.study.cells}
    if not _by_rule(frames, rules):
        styles = {cell: style for cell, style in cell_styles(rules).items() if cell in counted}
        return Lines({cell: cell for cell in counted}, styles, legend_labels(counts, list(frames.study.cells)))
    of = {cell: rules[cell] for cell in counted}
    summed = counts.assign(line=counts["cell"].map(of)).groupby("line")[["diverged", "n"]].sum().reset_index()
    said = {row.line: diverged_in_words(int(row.diverged), int(row.n)) for row in rows(summed)}
    labels = {rule: f"{rule} ({said[rule]})" if said[rule] else rule for rule in dict.fromkeys(of.values())}
    return Lines(of, cell_styles({rule: rule for rule in labels}), labels)


def _by_rule(frames: Frames, rules: dict[str, str]) -> bool:
    models = models_of(frames)
    pairs = [(models[cell], rules[cell]) for cell in frames.study.cells]
    return len(set(models.values())) > 1 and len(set(pairs)) == len(pairs)


@dataclass(frozen=True)
class Few:
    """The cells that are drawn, and what the caption says of the others."""

    cells: list[str]
    said: list[str]  # nothing where all are drawn


def few_of(frames: Frames, cells: list[str]) -> Few:
    """The first so many of each rule's ``cells``, in the study's order: at most MOST, and at least one of each rule."""
    rules = {cell: str(frames.study.cells[cell]["rule"]["name"]) for cell in cells}
    of = {rule: [cell for cell in cells if rules[cell] == rule] for rule in rules.values()}
    most = max(map(len, of.values()), default=0)
    each = max([n for n in range(1, most + 1) if sum(len(mine[:n]) for mine in of.values()) <= MOST], default=1)
    kept = [cell for cell in cells if cell in of[rules[cell]][:each]]
    return Few(kept, _left_out(len(cells) - len(kept), each))


def _left_out(others: int, each: int) -> list[str]:
    first = "the first cell of each rule" if each == 1 else f"the first {each} cells of each rule"
    return [f"{first}, {others} other{'s' * (others > 1)} left out"] if others else []
