"""Kolen-Pollack: W and B receive the same updates and the same decay, so their initial difference is forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from nowt.rules.base import Moment, check_own_weights
from nowt.rules.feedback import DrawnFeedback

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class KolenPollack(DrawnFeedback):
    """Kolen-Pollack learning: ΔB = −η y_l δ_{l+1}ᵀ − λB and ΔW = −η δ_{l+1} y_lᵀ − λW.

    The difference W − B shrinks by 1 − λ at every step, whatever the gradients are. The rule has no η and λ of its own:
    B is in the optimizer's parameter group of W, so η is ``optim.lr`` and, for plain SGD, λ is ``optim.lr`` times
    ``optim.weight_decay``. Choose the weight decay so that W − B has time to shrink (see
    ``nowt.training.schedule.remaining_difference``, which ``nowt plan`` prints). Without weight decay W − B stays
    constant; the angle then falls only where the norm of W grows.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of the initial B. ``"as_weight"`` (default): W's own entries in random order. ``"normal"``
            or ``"uniform"``: that distribution, with mean 0 and W's standard deviation.
        scale: Standard deviation of B divided by that of W at initialization. Default 1.0; must be above 0; the shipped
            search spaces try 0.3 to 3.
        angle: Angle between B and W at initialization, in degrees, from 0 to 180; B then has ``scale`` times the norm
            of W. Default None: B is independent of W, so the angle is about 90°.

    Raises:
        ValueError: If ``scale`` or ``angle`` is out of range.

    Reference:
        Kolen & Pollack (1994), "Backpropagation without weight transport"; Akrout et al. (2019), "Deep learning without
        weight transport", equations 16 and 17.

    Example:
        With η = 0.1 and a weight decay of 1, λ is 0.1, so one step leaves 90 % of W − B:

        >>> import torch
        >>> from nowt import KolenPollack, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> (layer,) = feedback = attach(model, KolenPollack())
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.0)
        >>> before = (layer.weight - layer.feedback).norm()
        >>> model(torch.ones(2, 4)).square().sum().backward()
        >>> feedback.step(optimizer)
        >>> round(((layer.weight - layer.feedback).norm() / before).item(), 4)
        0.9
    """

    name: ClassVar[str] = "kp"
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "gradient"

    def before_step(self, layers: Sequence["FeedbackLayer"], optimizer: torch.optim.Optimizer) -> None:
        """Set B's gradient to the final gradient of W; a copy of it if the optimizer changes gradients in place.

        Raises ValueError if a layer has been pruned or parametrized since ``attach``.
        """
        check_own_weights(layers)
        copy = any(_writes_gradients(group) for group in optimizer.param_groups)
        for layer in layers:
            gradient = layer.weight.grad
            layer.feedback.grad = gradient.clone() if copy and gradient is not None else gradient

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Clear B's gradient, which B has only during the optimizer step."""
        for layer in layers:
            layer.feedback.grad = None
        return 0


def _writes_gradients(group: dict[str, object]) -> bool:
    """Return whether torch's optimizer changes the gradient in place, which would update a shared one twice.

    Nesterov's foreach form does, and it is the default on a GPU.
    """
    return bool(group.get("nesterov")) and group.get("foreach") is not False and not group.get("fused")
