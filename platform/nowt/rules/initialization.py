"""The initial B, which nowt draws as a rule declares it."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nowt.core.seeding import generator

Distribution = Literal["as_weight", "normal", "uniform", "constant"]


@dataclass(frozen=True)
class Initialization:
    """How the initial B of a layer is drawn, in W's shape.

    Attributes:
        distribution: ``"as_weight"`` (default): W's own entries in random order. ``"normal"`` or ``"uniform"``: that
            distribution, with mean 0 and W's standard deviation. ``"constant"``: W's root mean square everywhere.
        scale: Standard deviation of B divided by that of W. Default 1.0.
        angle: Angle between B and W in degrees, from 0 to 180; B then has ``scale`` times the norm of W. Default None:
            B is independent of W, so the angle is about 90°. A rule with an angle other than 90 is certified as one
            that starts from W.

    Example:
        >>> from nowt import Initialization
        >>> Initialization("normal", scale=0.5).angle is None
        True
    """

    distribution: Distribution = "as_weight"
    scale: float = 1.0
    angle: float | None = None

    def draw(self, weight: Tensor, seed: int, name: str) -> Tensor:
        """Draw B for the layer ``name`` with weights ``weight``; a pure function of (seed, name) and W's distribution,
        or of W itself if ``angle`` is set."""
        drawn = _draw(weight, self.distribution, seed, name) * self.scale
        return drawn if self.angle is None else rotate_to_angle(weight, drawn, self.angle) * self.scale


def _draw(weight: Tensor, distribution: str, seed: int, name: str) -> Tensor:
    """Draw a tensor of W's shape and standard deviation.

    ``as_weight`` shuffles W's own entries, so B has W's exact distribution, whichever initializer produced it.
    """
    if distribution == "constant":
        return torch.full_like(weight, float(weight.square().mean().sqrt()))
    stream = generator(seed, "feedback", name)
    flat = weight.detach().cpu().flatten()
    if distribution == "as_weight":
        drawn = flat[torch.randperm(flat.numel(), generator=stream)]
    elif distribution == "normal":
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
