"""The panels of the comparison figure: one a model; where that is too many lines, one for each rule of the model."""

from dataclasses import dataclass

import pandas as pd

from analysis.few import MOST
from analysis.frames import Frames
from analysis.lines import Lines, models_of


@dataclass(frozen=True)
class CurvePanel:
    """One panel, and the cells whose lines are in it, in the study's order."""

    name: str
    model: str
    rule: str  # empty for a panel of all rules
    cells: list[str]

    @property
    def banded(self) -> bool:
        """Whether bands could be told apart."""
        return len(self.cells) <= MOST

    def drawn(self, means: pd.DataFrame) -> pd.DataFrame:
        """The study's rows that are its own."""
        return means[means["cell"].isin(self.cells)]

    def overlaid(self, published: pd.DataFrame) -> pd.DataFrame:
        """The published rows that are its own."""
        return published[(published["model"] == self.model) & (published["rule"].isin([self.rule]) | (not self.rule))]


def curve_panels(frames: Frames, lines: Lines) -> list[CurvePanel]:
    """The panels of the cells that have a line, in the study's order."""
    models: dict[str, list[str]] = {}
    for cell, model in models_of(frames).items():
        if cell in lines.of:
            models.setdefault(model, []).append(cell)
    return [panel for model, cells in models.items() for panel in _panels(frames, model, cells, len(models))]


def bands_in_words(panels: list[CurvePanel]) -> list[str]:
    """Where there is no band for want of room; nothing where there is one everywhere."""
    return [] if all(panel.banded for panel in panels) else [f"no band in a panel of more than {MOST} lines"]


def _panels(frames: Frames, model: str, cells: list[str], models: int) -> list[CurvePanel]:
    if len(cells) <= MOST:
        return [CurvePanel(model, model, "", cells)]
    rules: dict[str, list[str]] = {}
    for cell in cells:
        rules.setdefault(str(frames.study.cells[cell]["rule"]["name"]), []).append(cell)
    named = f"{model}, " if models > 1 else ""
    return [CurvePanel(f"{named}{rule}", model, rule, mine) for rule, mine in rules.items()]
