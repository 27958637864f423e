"""Which cells a figure with a panel a cell draws, where a study has many: the first ones of each rule."""

from dataclasses import dataclass

from analysis.frames.study import Frames

MOST = 6  # panels, and lines with bands in one panel, that can be told apart


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
