"""Sham: weight transport in the form of a feedback rule. The positive control of every check and study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from nowt.rules.base import Moment, check_own_weights
from nowt.rules.feedback import FeedbackRule

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class Sham(FeedbackRule):
    """B := W after each step: every gradient equals backprop's bit for bit, although the error passes through B."""

    name: ClassVar[str] = "sham"
    transports: ClassVar[str] = "weight"
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "weight"

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Register a copy of W."""
        layer.register_state("feedback", layer.weight.detach().clone())

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Copy W into B: weight transport, on purpose."""
        check_own_weights(layers)
        for layer in layers:
            layer.feedback.copy_(layer.weight.detach())
        return 0
