"""How feedback weights start, and which layers have them: the fields that the rules with a B of their own share."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from nowt.core.seeding import generator
from nowt.rules.base import Rule

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class FeedbackRule(Rule):
    """A rule whose layers have feedback weights B; which layers those are."""

    last_layer: Literal["rule", "backprop"] = "rule"  # backprop: the classifier's error goes back through Wᵀ
    shortcuts: Literal["rule", "backprop"] = "rule"  # the projections of residual blocks

    def covers(self, name: str, last: bool) -> bool:
        """All layers, but for those that the fields leave to backprop."""
        if last and self.last_layer == "backprop":
            return False
        return self.shortcuts == "rule" or not is_shortcut(name)


def is_shortcut(name: str) -> bool:
    """Whether the layer of this dotted name is a projection shortcut, by torchvision's name for it or the plain one."""
    return bool({"downsample", "shortcut"} & set(name.split(".")))


@dataclass(frozen=True)
class DrawnFeedback(FeedbackRule):
    """A rule whose B starts from a random draw."""

    start: Literal["as_weight", "normal", "uniform"] = "as_weight"  # as_weight: W's own distribution, independent of W
    scale: float = 1.0  # sd of B over sd of W at the start
    angle: float | None = None  # degrees between B and W at the start; None: independent draw, about 90

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"rule.scale is {self.scale}: it must be above 0")
        if self.angle is not None and not 0 <= self.angle <= 180:
            raise ValueError(f"rule.angle is {self.angle}: it must lie in [0, 180] degrees, or be none")

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Keep a B drawn as the fields say, by the layer's name."""
        weight = layer.weight.detach()
        drawn = draw(weight, self.start, seed, layer.name) * self.scale
        if self.angle is not None:
            drawn = at_angle(weight, drawn, self.angle) * self.scale
        layer.register_state("feedback", drawn)


def draw(weight: Tensor, start: str, seed: int, name: str) -> Tensor:
    """A random tensor of W's shape and standard deviation, a pure function of (seed, name) and W's distribution.

    ``as_weight`` shuffles W's own entries: W's exact distribution, whatever initialiser made it, with no synapse
    keeping its value.
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


def at_angle(weight: Tensor, drawn: Tensor, degrees: float) -> Tensor:
    """The tensor of |W|'s length in the plane of W and ``drawn`` that lies ``degrees`` away from W."""
    w, d = weight.double().flatten(), drawn.double().flatten()
    length = w.norm()
    across = d - w * (d @ w) / (w @ w)
    turn = math.radians(degrees)
    turned = math.cos(turn) * w + math.sin(turn) * length * across / across.norm()
    return torch.empty_like(weight).copy_(turned.view(weight.shape))
