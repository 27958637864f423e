"""Sham: weight transport in the form of a feedback rule. The positive control of every check and study."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nowt.rules.feedback import FeedbackRule
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class Sham(FeedbackRule):
    """Sham: B := W after each step, so every gradient equals backprop's bit for bit.

    The error passes through B, but the rule transports weights on purpose: it is the positive control of checks and
    studies, not a local rule.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.

    Example:
        >>> import torch
        >>> from nowt import Sham, attach
        >>> (layer,) = attach(torch.nn.Sequential(torch.nn.Linear(4, 3)), Sham())
        >>> torch.equal(layer.feedback, layer.weight)
        True
    """

    name: ClassVar[str] = "sham"
    signals: ClassVar[tuple[str, ...]] = ("weight",)

    def prepare(self, layer: LayerView) -> None:
        """Register a B."""
        layer.register_state("feedback", layer.new_zeros(*layer.weight_shape))

    def observe_weight(self, layer: LayerView, weight: Tensor) -> None:
        """Copy W into B: weight transport, on purpose."""
        layer.feedback.copy_(weight)
