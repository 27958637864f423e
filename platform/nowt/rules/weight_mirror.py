"""Weight mirror: B learns W's transpose from noise that the forward weights carry, in a mirror mode between steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from nowt.core.seeding import seed_of
from nowt.rules.base import Moment
from nowt.rules.feedback import DrawnFeedback

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class WeightMirror(DrawnFeedback):
    """ΔB = η x yᵀ − λB, with y the layer's answer to fresh noise x: E[B] → (ησ²/λ) W.

    Akrout et al. (2019), "Deep learning without weight transport", equation 7 and section "mirror mode". Each layer
    gets noise of its own, never chained; biases are blocked; batch norm, its statistics and W stay untouched.
    The angle left by sampling is arctan √((fan-in + 1)/N_eff), N_eff = positions · (2 − λ)/λ.

    Before learning W is at rest, so mirror step k takes η and λ 1/((k + 1) λ) times as large, until that is 1: B is the
    mean of all it has seen, and needs a tenth of the steps to come as near as λ allows. Without λ, η stays as it is.

    Of several workers each draws the same noise, so that B's update is the same and nothing is sent; or, with as many
    ``streams`` as workers, each its own, and B takes the mean: that many times the samples for sending B once a mirror
    step. One worker alone draws all streams: the number of workers changes nothing but rounding.
    """

    name: ClassVar[str] = "wm"
    numerics: ClassVar[int | str] = 2
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "mirror"

    eta: float = 0.02  # η_B
    decay: float = 0.02  # λ of B
    noise: Literal["normal", "uniform", "sign", "idealised"] = "normal"  # idealised: orthonormal, reads W out exactly
    sigma: float = 1.0  # σ, standard deviation of the noise x
    receiver_noise: float = 0.0  # ξ, standard deviation of the noise on the layer's output
    through: Literal["linear", "nonlinearity"] = "linear"  # what the noise passes: W alone, or φ(W ·) too
    normalize: Literal["none", "positions", "taps"] = "taps"  # what the sum over samples is divided by
    samples: int = 16  # noise samples of a mirror step
    extent: int = 8  # positions a side of a convolution's output map; 0: the layer's own map
    interval: int = 8  # training steps from one mirror step to the next; 0: mirror only before learning
    warmup: int = 100  # mirror steps before learning
    streams: int = 1  # of noise, each of ``samples``; several workers share them out and send each other B's updates

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("eta", "sigma"):
            if getattr(self, field) <= 0:
                raise ValueError(f"rule.{field} is {getattr(self, field)}: it must be above 0")
        if not 0 <= self.decay < 2:
            raise ValueError(f"rule.decay is {self.decay}: it must lie in [0, 2), or B grows without bound")
        for field in ("receiver_noise", "extent", "interval", "warmup"):
            if getattr(self, field) < 0:
                raise ValueError(f"rule.{field} is {getattr(self, field)}: it must be 0 or above")
        for field in ("samples", "streams"):
            if getattr(self, field) < 1:
                raise ValueError(f"rule.{field} is {getattr(self, field)}: it must be at least 1")

    def noise_streams(self) -> int:
        """See Rule."""
        return self.streams

    def before_learning(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """The mirror steps before learning, "in sleep or in utero".

        Raises ValueError for an extent at which no noise reaches some weights of a padded layer.
        """
        self._refuse_blind(layers)
        for step in range(self.warmup):
            speed = max(1.0, 1 / ((step + 2) * self.decay)) if self.decay > 0 else 1.0
            self._mirror(layers, moment, step - self.warmup, speed)
        return self.warmup * self.samples * self.streams

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """One mirror step every ``interval`` training steps."""
        if self.interval == 0 or moment.step % self.interval != 0:
            return 0
        self._mirror(layers, moment, moment.step)
        return self.samples * self.streams

    def _refuse_blind(self, layers: Sequence["FeedbackLayer"]) -> None:
        if self.extent == 0 or self.noise == "idealised":
            return
        for layer in layers:
            if layer.unreached(layer.probe_shape(1, self.extent)):
                raise ValueError(
                    f"rule.extent is {self.extent}: in layer {layer.name} the padding leaves weights that no noise "
                    "reaches, so their B would never align; use a larger extent, or 0 for the layer's own map"
                )

    @torch.no_grad()
    def _mirror(self, layers: Sequence["FeedbackLayer"], moment: Moment, step: int, speed: float = 1.0) -> None:
        mine = range(moment.group.rank, self.streams, moment.group.size) if self.streams > 1 else range(1)
        for layer in layers:
            update = self._update(layer, moment.seed, step, mine[0], speed)
            for number in mine[1:]:
                update += self._update(layer, moment.seed, step, number, speed)
            if self.streams > 1:
                moment.group.sum([update])
                update /= self.streams
            layer.feedback.mul_(1 - speed * self.decay).add_(update)

    def _update(self, layer: "FeedbackLayer", seed: int, step: int, number: int, speed: float) -> Tensor:
        """η x yᵀ of one stream of noise."""
        name = (layer.name, step, number) if number else (layer.name, step)
        stream = torch.Generator(layer.weight.device).manual_seed(seed_of(seed, "mirror", *name))
        x = self._draw(layer, stream)
        padded = self.noise != "idealised"
        y = layer.linear_map(x, padded)
        if self.through == "nonlinearity":
            y = layer.nonlinearity(y)
        if self.receiver_noise > 0:
            y = y + self.receiver_noise * torch.randn(y.shape, generator=stream, device=y.device, dtype=y.dtype)
        return layer.outer_sum(x, y, padded).mul_(self._rate(layer, x) * speed)

    def _draw(self, layer: "FeedbackLayer", stream: torch.Generator) -> Tensor:
        """Noise of standard deviation σ, in the shape of the layer's input."""
        if self.noise == "idealised":
            return layer.orthonormal_probes(stream) * (self.sigma * math.sqrt(layer.fan_in))
        shape = layer.probe_shape(self.samples, self.extent)
        x = torch.empty(shape, device=layer.weight.device, dtype=layer.weight.dtype)
        if self.noise == "normal":
            return x.normal_(0.0, self.sigma, generator=stream)
        if self.noise == "uniform":
            return x.uniform_(-1.0, 1.0, generator=stream).mul_(self.sigma * 3**0.5)
        return x.bernoulli_(0.5, generator=stream).mul_(2).sub_(1).mul_(self.sigma)

    def _rate(self, layer: "FeedbackLayer", x: Tensor) -> Tensor | float:
        """η over what the fields normalise by."""
        if self.normalize == "none":
            return self.eta
        if self.noise == "idealised":
            return self.eta / layer.fan_in
        if self.normalize == "positions":
            return self.eta / layer.positions(x)
        return self.eta / layer.tap_counts(x)

    def shortened(self, pace: float) -> "WeightMirror":
        """Fewer mirror steps before learning, at least one where there were some."""
        return replace(self, warmup=math.ceil(self.warmup * pace))
