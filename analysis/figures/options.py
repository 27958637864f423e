"""What a report is asked for beside its study: what its curves are drawn against, and the published ones too."""

from dataclasses import dataclass

from analysis.stats.costs import AXES


@dataclass(frozen=True)
class Options:
    """The options of ``nowt report``. Raises ValueError for what cannot be drawn."""

    against: str = "epochs"  # one of AXES
    published: bool = False  # the published curves, too
    margin: float | None = None  # points of error that count as equal

    def __post_init__(self) -> None:
        if self.against not in AXES:
            raise ValueError(f"--against is {self.against!r}: it must be one of {', '.join(AXES)}")
        if self.margin is not None and not 0 < self.margin <= 100:  # which nan is not
            raise ValueError(f"--margin is {self.margin}: it must lie above 0 and at 100 points of error at most")
        if self.published and self.against != "epochs":
            raise ValueError(
                f"--published has curves over epochs only, and --against is {self.against}: leave out one of the two"
            )

    @property
    def words(self) -> list[str]:
        """As they are typed."""
        against = [] if self.against == "epochs" else ["--against", self.against]
        margin = [] if self.margin is None else ["--margin", f"{self.margin:g}"]
        return margin + against + ["--published"] * self.published
