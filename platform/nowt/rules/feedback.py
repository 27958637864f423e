"""Base classes of the rules that store B: which layers have one, and how it is initialized."""

from dataclasses import dataclass
from typing import Literal

from nowt.rules.base import Rule
from nowt.rules.initialization import Initialization


@dataclass(frozen=True)
class FeedbackRule(Rule):
    """A rule that stores feedback weights B on its layers.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
    """

    last_layer: Literal["rule", "backprop"] = "rule"
    shortcuts: Literal["rule", "backprop"] = "rule"

    def covers(self, name: str, last: bool) -> bool:
        """Cover all layers except those that ``last_layer`` and ``shortcuts`` leave to backprop."""
        if last and self.last_layer == "backprop":
            return False
        return self.shortcuts == "rule" or not is_shortcut(name)

    def exclusion(self, name: str, last: bool) -> str:
        """Name the field that leaves the layer to backprop, if there is one."""
        if last:
            return "set rule.last_layer to backprop, which leaves the last layer to backprop"
        if is_shortcut(name):
            return "set rule.shortcuts to backprop, which leaves shortcuts to backprop"
        return super().exclusion(name, last)


def is_shortcut(name: str) -> bool:
    """Return whether the layer ``name`` is in a module called ``downsample`` (torchvision's name) or ``shortcut``."""
    return bool({"downsample", "shortcut"} & set(name.split(".")))


@dataclass(frozen=True)
class DrawnFeedback(FeedbackRule):
    """A rule whose initial B is drawn at random.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of the initial B. ``"as_weight"`` (default): W's own entries in random order. ``"normal"``
            or ``"uniform"``: that distribution, with mean 0 and W's standard deviation.
        scale: Standard deviation of B divided by that of W at initialization. Default 1.0; must be above 0.
        angle: Angle between B and W at initialization, in degrees, from 0 to 180; B then has ``scale`` times the norm
            of W. Default None: B is independent of W.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import ClassVar
        >>> import torch
        >>> from nowt import DrawnFeedback, attach
        >>> @dataclass(frozen=True)
        ... class Halves(DrawnFeedback):
        ...     name: ClassVar[str] = "halves"
        ...
        ...     def feedback(self, layer):
        ...         return layer.feedback / 2
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        >>> (layer,) = attach(model, Halves())
        >>> x = torch.zeros(1, 3, requires_grad=True)
        >>> model(x).sum().backward()
        >>> torch.equal(2 * x.grad[0], layer.feedback.sum(0))
        True
    """

    start: Literal["as_weight", "normal", "uniform"] = "as_weight"
    scale: float = 1.0
    angle: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0:
            raise ValueError(f"rule.scale is {self.scale}: it must be above 0")
        if self.angle is not None and not 0 <= self.angle <= 180:
            raise ValueError(f"rule.angle is {self.angle}: it must lie in [0, 180] degrees, or be none")

    def initialization(self) -> Initialization:
        """Return B's distribution, scale and angle."""
        return Initialization(self.start, self.scale, self.angle)
