"""Backpropagation: the error goes back through the transpose of the forward weights. The reference of every study."""

from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.base import Rule


@dataclass(frozen=True)
class Backprop(Rule):
    """Ordinary backprop through plain torch layers: nothing is replaced, no B exists.

    Rumelhart, Hinton & Williams (1986): δ_l = φ'(·) ∘ W_{l+1}ᵀ δ_{l+1}.
    """

    name: ClassVar[str] = "bp"
    transports: ClassVar[str] = "weight"

    def covers(self, name: str, last: bool) -> bool:
        """No layer: torch's own layers do backprop."""
        return False
