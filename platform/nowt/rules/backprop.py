"""Backpropagation: the error passes back through the transpose of the forward weights. The reference of every study."""

from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.base import Rule


@dataclass(frozen=True)
class Backprop(Rule):
    """Backpropagation by torch's own layers: δ_l = φ'(·) ∘ W_{l+1}ᵀ δ_{l+1}.

    No layer is replaced and there is no B. The rule has no fields.

    Reference:
        Rumelhart, Hinton & Williams (1986), "Learning representations by back-propagating errors".

    Example:
        >>> import torch
        >>> from nowt import Backprop, attach
        >>> attach(torch.nn.Sequential(torch.nn.Linear(4, 3)), Backprop())
        []
    """

    name: ClassVar[str] = "bp"
    signals: ClassVar[tuple[str, ...]] = ("weight",)

    def covers(self, name: str, last: bool) -> bool:
        """Cover no layer: torch's own layers use backprop."""
        return False
