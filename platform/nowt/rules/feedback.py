"""Base classes of the rules that store B: which layers have one, and how it is initialized."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.rules.base import Rule

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


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
        start: Distribution of the initial B. ``"as_weight"`` (default): W's own entries in random order. ``"normal"``
            or ``"uniform"``: that distribution, with mean 0 and W's standard deviation.
        scale: Standard deviation of B divided by that of W at initialization. Default 1.0; must be above 0.
        angle: Angle between B and W at initialization, in degrees, from 0 to 180; B then has ``scale`` times the norm
            of W. Default None: B is independent of W.
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

    def check_layer(self, name: str, last: bool, layer: nn.Module) -> None:
        """Also raise ValueError if all weights are equal, so that no B can be drawn that differs from W.

        Without ``angle``, mirror mode learns B whatever its initial value is.
        """
        super().check_layer(name, last, layer)
        lowest, highest = cast(Tensor, layer.weight).detach().aminmax()
        if lowest == highest and not (self.learns_from == "mirror" and self.angle is None):
            raise ValueError(
                f"all weights of layer {name} start at {float(lowest):g}, so a B drawn from their distribution would "
                f"be W itself: give the layer another initialization, or {self.exclusion(name, last)}"
            )

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Register a B drawn from (seed, layer name)."""
        weight = layer.weight.detach()
        drawn = draw_feedback(weight, self.start, seed, layer.name) * self.scale
        if self.angle is not None:
            drawn = rotate_to_angle(weight, drawn, self.angle) * self.scale
        layer.register_state("feedback", drawn)


def draw_feedback(weight: Tensor, start: str, seed: int, name: str) -> Tensor:
    """Draw a tensor of W's shape and standard deviation; a pure function of (seed, name) and W's distribution.

    ``as_weight`` shuffles W's own entries, so B has W's exact distribution, whichever initializer produced it.
    """
    stream = generator(seed, "feedback", name)
    flat = weight.detach().cpu().flatten()
    if start == "as_weight":
        drawn = flat[torch.randperm(flat.numel(), generator=stream)]
    elif start == "normal":
        drawn = torch.randn(flat.shape, generator=stream, dtype=flat.dtype) * flat.std()
    else:
        drawn = (torch.rand(flat.shape, generator=stream, dtype=flat.dtype) * 2 - 1) * (flat.std() * math.sqrt(3))
    return torch.empty_like(weight).copy_(drawn.view(weight.shape))


def rotate_to_angle(weight: Tensor, drawn: Tensor, degrees: float) -> Tensor:
    """Return the tensor with the norm of W, in the plane of W and ``drawn``, at an angle of ``degrees`` to W."""
    w, d = weight.double().flatten(), drawn.double().flatten()
    length = w.norm()
    across = d - w * (d @ w) / (w @ w)
    turn = math.radians(degrees)
    turned = math.cos(turn) * w + math.sin(turn) * length * across / across.norm()
    return torch.empty_like(weight).copy_(turned.view(weight.shape))
