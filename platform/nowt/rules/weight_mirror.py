"""Weight mirror: B learns the transpose of W from noise that passes through W, in a mirror mode between steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from nowt.core.seeding import seed_of
from nowt.rules.base import Moment, check_own_weights
from nowt.rules.feedback import DrawnFeedback

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class WeightMirror(DrawnFeedback):
    """Weight mirror: ΔB = η x yᵀ − λB, where y is the layer's response to fresh noise x.

    In mirror mode, between training steps, every layer receives its own noise, and B learns from the response. In
    expectation B converges to c W with the gain c = η σ² / λ (half of that with ``through="nonlinearity"`` and ReLU;
    with ``normalize="none"``, times the number of samples and positions). Choose η and λ so that c is near 1: B
    multiplies the error signal by c in every layer. Noise is never passed on to the next layer, biases are not used,
    and W, batch norm and its statistics do not change.

    Sampling leaves an angle of about arctan √((fan_in + 1) / N_eff) between B and W, with N_eff = N (2 − λ) / λ for N
    positions per mirror step (linear response, W with independent entries). A smaller λ or more samples reduce it; a
    smaller λ also makes B follow a changing W more slowly, with a memory of 1/λ mirror steps.

    Before learning, W does not change, so B should weight all mirror steps equally: mirror step k = 1, 2, ...
    multiplies η and λ by max(1, 1 / ((k + 1) λ)). Without decay (λ = 0), η stays as it is.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of the initial B. ``"as_weight"`` (default): W's own entries in random order. ``"normal"``
            or ``"uniform"``: that distribution, with mean 0 and W's standard deviation.
        scale: Standard deviation of B divided by that of W at initialization. Default 1.0; must be above 0.
        angle: Angle between B and W at initialization, in degrees, from 0 to 180; B then has ``scale`` times the norm
            of W. Default None: B is independent of W, so the angle is about 90°.
        eta: η, rate of the mirror update. Default 0.02; must be above 0. The shipped search spaces try 0.3 to 3 times
            ``decay``.
        decay: λ, share of B that each mirror step removes. Default 0.02; in [0, 2), since B grows without bound
            otherwise. The shipped search spaces try 0.01 to 0.5 on digits and 0.0015 to 0.065 on ImageNet.
        noise: Distribution of the noise x. ``"normal"`` (default), ``"uniform"`` and ``"sign"`` (±σ) have mean 0 and
            standard deviation σ. ``"idealised"``: orthonormal inputs, which read out W exactly: an upper bound, not a
            candidate in comparisons.
        sigma: σ, standard deviation of x. Default 1.0; must be above 0. It enters the gain as σ².
        receiver_noise: ξ, standard deviation of noise added to the response. Default 0.0; must be 0 or above. The
            shipped search spaces try 0.01 to 3.
        through: What the noise passes. ``"linear"`` (default): y = W x. ``"nonlinearity"``: y = φ(W x).
        normalize: What the sum over samples and positions is divided by. ``"taps"`` (default): for each kernel tap, the
            number of positions that reach it, so zero padding does not bend B. ``"positions"``: the number of samples
            times positions. ``"none"``: nothing, as in the authors' code, so the gain grows with the map.
        samples: Noise samples per mirror step and stream. Default 16; at least 1. The shipped search spaces try 4 to 64
            on digits and 32 to 512 on ImageNet.
        extent: Positions per side of a convolution's output in mirror mode. Default 8; 0: the layer's own map, which
            needs an example input in ``attach``. Linear layers receive ``samples`` × max(``extent``, 1)²
            vectors.
        interval: Training steps from one mirror step to the next. Default 8; 0: mirror only before learning. The
            shipped search spaces try 1 to 32.
        warmup: Mirror steps before learning. Default 100; 0: none. The shipped search spaces try 0 to 200 on digits and
            30 to 600 on ImageNet.
        streams: Streams of noise per mirror step. Default 1: with several workers, all draw the same noise and
            communicate nothing. With more (1 or a multiple of the workers), they divide the streams among themselves
            and average B's updates once per mirror step. A single worker draws all streams, so the number of workers
            changes only rounding.

    Raises:
        ValueError: If a field is out of range.

    Reference:
        Akrout et al. (2019), "Deep learning without weight transport", equation 7 and section "mirror mode".

    Example:
        >>> import torch
        >>> from nowt import Moment, WeightMirror, attach
        >>> rule = WeightMirror(samples=32, warmup=50)
        >>> (layer,) = layers = attach(torch.nn.Sequential(torch.nn.Linear(20, 10)), rule)
        >>> rule.before_learning(layers, Moment(step=0, seed=0))
        1600
        >>> cosine = torch.cosine_similarity(layer.feedback.flatten(), layer.weight.flatten(), dim=0)
        >>> round(cosine.item(), 2)
        1.0
    """

    name: ClassVar[str] = "wm"
    numerics: ClassVar[int | str] = 2
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "mirror"

    eta: float = 0.02
    decay: float = 0.02
    noise: Literal["normal", "uniform", "sign", "idealised"] = "normal"
    sigma: float = 1.0
    receiver_noise: float = 0.0
    through: Literal["linear", "nonlinearity"] = "linear"
    normalize: Literal["none", "positions", "taps"] = "taps"
    samples: int = 16
    extent: int = 8
    interval: int = 8
    warmup: int = 100
    streams: int = 1

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
        """Return ``streams``."""
        return self.streams

    def check_layer(self, name: str, last: bool, layer: nn.Module) -> None:
        """Also raise ValueError if W starts at 0 and mirror mode ends before W changes, so that B would stay 0."""
        super().check_layer(name, last, layer)
        if self.interval == 0 and not cast(Tensor, layer.weight).detach().any():
            raise ValueError(
                f"all weights of layer {name} start at 0 and rule.interval is 0, so its B would stay 0: set "
                f"rule.interval above 0, give the layer another initialization, or {self.exclusion(name, last)}"
            )

    def before_learning(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Do ``warmup`` mirror steps.

        Raises ValueError if, at ``extent``, no noise reaches some weights of a padded layer.
        """
        self._check_reach(layers)
        for step in range(self.warmup):
            speed = max(1.0, 1 / ((step + 2) * self.decay)) if self.decay > 0 else 1.0
            self._mirror(layers, moment, step - self.warmup, speed)
        return self.warmup * self.samples * self.streams

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Do one mirror step every ``interval`` training steps."""
        if self.interval == 0 or moment.step % self.interval != 0:
            return 0
        self._mirror(layers, moment, moment.step)
        return self.samples * self.streams

    def _check_reach(self, layers: Sequence["FeedbackLayer"]) -> None:
        if self.extent == 0 or self.noise == "idealised":
            return
        for layer in layers:
            if layer.has_unreached_weights(layer.probe_shape(1, self.extent)):
                raise ValueError(
                    f"rule.extent is {self.extent}: in layer {layer.name}, some weights see only padding and receive "
                    "no noise, so their B would never align; use a larger extent, or 0 for the layer's own map"
                )

    @torch.no_grad()
    def _mirror(self, layers: Sequence["FeedbackLayer"], moment: Moment, step: int, speed: float = 1.0) -> None:
        check_own_weights(layers)
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
        """Return η x yᵀ for one stream of noise."""
        name = (layer.name, step, number) if number else (layer.name, step)
        stream = torch.Generator(layer.weight.device).manual_seed(seed_of(seed, "mirror", *name))
        x = self._draw(layer, stream)
        padded = self.noise != "idealised"
        y = layer.apply_weight(x, padded)
        if self.through == "nonlinearity":
            y = layer.nonlinearity(y)
        if self.receiver_noise > 0:
            y = y + self.receiver_noise * torch.randn(y.shape, generator=stream, device=y.device, dtype=y.dtype)
        return layer.outer_product_sum(x, y, padded).mul_(self._rate(layer, x) * speed)

    def _draw(self, layer: "FeedbackLayer", stream: torch.Generator) -> Tensor:
        """Draw noise of standard deviation σ, in the shape of the layer's input."""
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
        """Return η divided by what ``normalize`` names."""
        if self.normalize == "none":
            return self.eta
        if self.noise == "idealised":
            return self.eta / layer.fan_in
        if self.normalize == "positions":
            return self.eta / layer.positions(x)
        return self.eta / layer.tap_counts(x)

    def shortened(self, pace: float) -> "WeightMirror":
        """Return the rule with fewer mirror steps before learning; at least one, if there were any."""
        return replace(self, warmup=math.ceil(self.warmup * pace))
