"""Kolen-Pollack: W and B receive the same updates and the same decay, so what they started with is forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from nowt.rules.base import Moment
from nowt.rules.feedback import DrawnFeedback

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class KolenPollack(DrawnFeedback):
    """ΔB = −η y_l δ_{l+1}ᵀ − λB and ΔW = −η δ_{l+1} y_lᵀ − λW: W − B shrinks by (1 − λ) each step.

    Kolen & Pollack (1994); Akrout et al. (2019), "Deep learning without weight transport", equations 16 and 17. λ is
    the optimiser's weight decay, and B goes through the optimiser in W's own parameter group. Without decay W − B
    never shrinks (the angle may still fall, as |W| grows).
    """

    name: ClassVar[str] = "kp"
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "gradient"

    def before_step(self, layers: Sequence["FeedbackLayer"], optimizer: torch.optim.Optimizer) -> None:
        """Give B the final gradient of W: the same tensor, where the optimiser leaves gradients alone."""
        copy = any(_writes_gradients(group) for group in optimizer.param_groups)
        for layer in layers:
            gradient = layer.weight.grad
            layer.feedback.grad = gradient.clone() if copy and gradient is not None else gradient

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Let the gradient go, so that nothing is added to it twice."""
        for layer in layers:
            layer.feedback.grad = None
        return 0


def _writes_gradients(group: dict[str, object]) -> bool:
    """Whether torch's optimiser changes the gradient in place: Nesterov's foreach form does, which is the default on
    a GPU; a gradient shared by W and B would be advanced twice."""
    return bool(group.get("nesterov")) and group.get("foreach") is not False and not group.get("fused")
