"""The options of a report and its figures."""

from dataclasses import dataclass

from analysis.stats.costs import AXES
from nowt.core.errors import UserError


@dataclass(frozen=True)
class Options:
    """The options of ``nowt report``.

    Attributes:
        against: x axis of the curves: ``epochs`` (default), ``presentations``, ``flops`` or ``seconds``.
        published: Whether to add the published ImageNet curves (default: False); they require ``against="epochs"``.
        margin: Equivalence margin in percentage points of error, above 0 and at most 100; None (default) tests none.

    Raises:
        ValueError: A value is invalid, or two options cannot be combined.
    """

    against: str = "epochs"
    published: bool = False
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.against not in AXES:
            raise UserError(f"--against is {self.against!r}: it must be one of {', '.join(AXES)}")
        if self.margin is not None and not 0 < self.margin <= 100:  # False for NaN
            raise UserError(f"--margin is {self.margin}: it must be above 0 and at most 100 points of error")
        if self.published and self.against != "epochs":
            raise UserError(
                f"--published requires --against epochs, but --against is {self.against}: leave out one of them"
            )

    @property
    def args(self) -> list[str]:
        """Their command-line arguments, without defaults."""
        against = [] if self.against == "epochs" else ["--against", self.against]
        margin = [] if self.margin is None else ["--margin", f"{self.margin:g}"]
        return margin + against + ["--published"] * self.published
