"""Kolen-Pollack: W and B receive the same updates and the same decay, so their initial difference is forgotten."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from nowt.rules.feedback import DrawnFeedback


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
    signals: ClassVar[tuple[str, ...]] = ("gradient",)
    update: ClassVar[Literal["", "with_weight"]] = "with_weight"
