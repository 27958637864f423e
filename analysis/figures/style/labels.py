"""Places a label beside each point of a figure, so that labels cover neither points, nor bars, nor each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.figures.style.legend import LETTER, text_width

Box = tuple[float, float, float, float]  # left, right, top, bottom, in pixels from the upper left corner of the plot

SHARES = {"left": 0.0, "center": 0.5, "right": 1.0}  # of a label's width that is left of its position


@dataclass(frozen=True)
class Placement:
    """Where a label is, relative to its point: alignment and offsets in pixels."""

    align: Literal["left", "center", "right"]
    dx: float
    dy: float

    def box(self, x: float, y: float, label: str) -> Box:
        """Return the space that a label takes at a point."""
        width = text_width(label)
        left = x + self.dx - SHARES[self.align] * width
        return left, left + width, y + self.dy - LETTER / 2, y + self.dy + LETTER / 2


PLACEMENTS = tuple(
    placement
    for dy in (-9, 9, -21, 21, -33, 33, -45, 45)
    for placement in (Placement("left", 7, dy), Placement("right", -7, dy), Placement("center", 0, dy))
)


def place_labels(
    points: Sequence[tuple[float, float]], labels: Sequence[str], taken: Sequence[Box], size: tuple[float, float]
) -> list[Placement]:
    """Return a placement for the label of each point, given in pixels from the upper left corner of the plot.

    Each label gets the first of PLACEMENTS that is within the plot, whose width and height are ``size``, and covers
    neither a ``taken`` box nor an earlier label; the first one if there is none.
    """
    covered, found = list(taken), []
    for (x, y), label in zip(points, labels, strict=True):
        boxes = {placement: placement.box(x, y, label) for placement in PLACEMENTS}
        free = [placement for placement, box in boxes.items() if _fits(box, size) and not _meets(box, covered)]
        found.append(free[0] if free else PLACEMENTS[0])
        covered.append(boxes[found[-1]])
    return found


def _fits(box: Box, size: tuple[float, float]) -> bool:
    left, right, top, bottom = box
    return left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]


def _meets(box: Box, others: Sequence[Box]) -> bool:
    left, right, top, bottom = box
    return any(left < o[1] and right > o[0] and top < o[3] and bottom > o[2] for o in others)
