"""Sign-symmetry: feedback weights that share the forward weights' signs, and nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from nowt.core.seeding import generator
from nowt.rules.base import Moment
from nowt.rules.feedback import FeedbackRule, draw

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class SignSymmetry(FeedbackRule):
    """B = |R| ∘ sign(W): the sign follows W at every step, the magnitude |R| never sees W.

    Liao, Leibo & Poggio (2016); Xiao et al. (2018), "Biologically-plausible learning algorithms can scale to large
    datasets". The curves of Akrout et al. (2019) fit ``fixed`` magnitudes drawn from W's own initialiser.
    """

    name: ClassVar[str] = "ss"
    transports: ClassVar[str] = "sign"
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "weight"

    magnitudes: Literal["constant", "fixed", "redrawn"] = "fixed"  # redrawn: anew after each step, uniform
    scale: float = 1.0  # root mean square of the magnitudes over that of W at the start

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"rule.scale is {self.scale}: it must be above 0")

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Keep magnitudes that carry W's signs."""
        weight = layer.weight.detach()
        if self.magnitudes == "constant":
            size = torch.full_like(weight, float(weight.square().mean().sqrt()))
        else:
            start = "as_weight" if self.magnitudes == "fixed" else "uniform"
            size = draw(weight, start, seed, layer.name).abs()
        layer.register_state("feedback", torch.copysign(size * self.scale, weight))
        if self.magnitudes == "redrawn":
            layer.register_state("largest", weight.std() * (math.sqrt(3) * self.scale))

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Follow the signs of W, in place."""
        for layer in layers:
            if self.magnitudes == "redrawn":
                _redraw(layer.feedback, layer.largest, moment, layer.name)
            torch.copysign(layer.feedback, layer.weight.detach(), out=layer.feedback)
        return 0


def _redraw(feedback: Tensor, largest: Tensor, moment: Moment, name: str) -> None:
    """Magnitudes anew from the uniform distribution on (0, largest), a pure function of (seed, layer, step)."""
    stream = generator(moment.seed, "magnitudes", name, moment.step)
    if feedback.is_cuda:
        stream = torch.Generator(feedback.device).manual_seed(stream.initial_seed())
    feedback.uniform_(0.0, 1.0, generator=stream).mul_(largest)
