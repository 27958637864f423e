"""Rules that keep their promises and yet learn by backprop in part, or from a B that is W from the start."""

from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.base import Rule
from nowt.rules.feedback_alignment import FeedbackAlignment
from nowt.rules.kolen_pollack import KolenPollack
from nowt.rules.weight_mirror import WeightMirror


@dataclass(frozen=True)
class FirstLayerOnly(FeedbackAlignment):
    """Covers one layer, and leaves all others to backprop."""

    name: ClassVar[str] = "first layer only"

    def covers(self, name: str, last: bool) -> bool:
        return name == "conv1"


# what the verdict must say of each
VERDICTS: dict[Rule, str] = {
    FirstLayerOnly(): "backprop in block1.conv1",
    KolenPollack(angle=0.0): "B starts from W",
    FeedbackAlignment(angle=10.0): "B starts from W",
    WeightMirror(noise="idealised", extent=0, interval=3, warmup=3): "reads W out",
}
