"""The noise of mirror mode, which nowt draws as a rule declares it, and what the rule receives of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from nowt.core.distributed import Group
from nowt.rules.geometry import Geometry


@dataclass(frozen=True)
class MirrorNoise:
    """The noise that a rule asks for in mirror mode, and when.

    Attributes:
        kind: Distribution of the noise x. ``"normal"`` (default), ``"uniform"`` and ``"sign"`` (±σ) have mean 0 and
            standard deviation σ. ``"idealised"``: orthonormal inputs, which read W out.
        sigma: σ, standard deviation of x. Default 1.0.
        receiver_noise: ξ, standard deviation of noise added to the response. Default 0.0.
        through: What the noise passes: ``"linear"`` (default), y = W x, or ``"nonlinearity"``, y = φ(W x).
        bias: Add the layer's bias to the response. Default False.
        last_activation: Nonlinearity of the last layer: ``"linear"`` (default) or ``"sigmoid"``.
        normalize: What a sum over samples and positions is divided by: ``"taps"`` (default), ``"positions"`` or
            ``"none"``.
        samples: Noise samples per mirror step and stream. Default 16.
        extent: Positions per side of a convolution's output. Default 8; 0: the layer's own map.
        streams: Streams of noise per mirror step, which the workers divide among themselves. Default 1.
        interval: Training steps from one mirror step to the next. Default 8; 0: none in training.
        warmup: Mirror steps before learning. Default 0.
        burst: Mirror steps after every ``burst_epochs`` epochs. Default 0.
        burst_epochs: Epochs from one burst to the next. Default 1.
        target_angle: Angle in degrees that nowt is to hold between B and W, by choosing samples, extent, interval,
            warmup and λ of each layer. Default None.

    Example:
        >>> from nowt import MirrorNoise
        >>> MirrorNoise(samples=64, interval=4).kind
        'normal'
    """

    kind: Literal["normal", "uniform", "sign", "idealised"] = "normal"
    sigma: float = 1.0
    receiver_noise: float = 0.0
    through: Literal["linear", "nonlinearity"] = "linear"
    bias: bool = False
    last_activation: Literal["linear", "sigmoid"] = "linear"
    normalize: Literal["none", "positions", "taps"] = "taps"
    samples: int = 16
    extent: int = 8
    streams: int = 1
    interval: int = 8
    warmup: int = 0
    burst: int = 0
    burst_epochs: int = 1
    target_angle: float | None = None


@dataclass(frozen=True)
class MirrorSamples:
    """The noise of one mirror step of a layer and the layer's responses, as ``observe_mirror`` receives them.

    Attributes:
        pairs: Noise x and response y for each stream of this worker; x has the shape of a batch of the layer's inputs.
        terms: What a sum over one stream is divided by, as ``MirrorNoise.normalize`` says: a number or, for a
            convolution, one for each tap.
        before_learning: Number of the mirror step before learning, from 0; None during training.
        decay: λ that nowt chose to meet ``target_angle``; None without one.
        geometry: Shapes of the layer's map.
        padded: Whether a convolution's noise is padded with zeros.
        streams: Streams of noise over all workers.
        group: The workers that divide them.
        like: A tensor of W's shape, whose memory layout products take.

    Example:
        A mirror whose B is the mean response of the last mirror step:

        >>> from dataclasses import dataclass
        >>> from typing import ClassVar
        >>> import torch
        >>> from nowt import DrawnFeedback, MirrorNoise, attach
        >>> @dataclass(frozen=True)
        ... class LastResponse(DrawnFeedback):
        ...     name: ClassVar[str] = "last response"
        ...     signals: ClassVar[tuple[str, ...]] = ("mirror",)
        ...
        ...     def mirror_noise(self):
        ...         return MirrorNoise(samples=100, warmup=1)
        ...
        ...     def observe_mirror(self, layer, samples):
        ...         layer.feedback.copy_(samples.mean(samples.product) / samples.terms)
        >>> (layer,) = feedback = attach(torch.nn.Sequential(torch.nn.Linear(20, 10)), LastResponse())
        >>> feedback.before_learning()
        >>> feedback.angles()["0"].matrix < 10
        True
    """

    pairs: tuple[tuple[Tensor, Tensor], ...]
    terms: Tensor | int
    before_learning: int | None
    decay: float | None
    geometry: Geometry
    padded: bool
    streams: int
    group: Group
    like: Tensor

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ y xᵀ over the samples and positions of one stream, in W's shape."""
        return self.geometry.mirror_product(x, y, self.padded, self.like)

    def mean(self, update: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return the mean of ``update(x, y)`` over all streams, and so over the workers that drew them."""
        (x, y), *others = self.pairs
        total = update(x, y)
        for x, y in others:
            total += update(x, y)
        if self.streams > 1:
            self.group.sum([total])
            total /= self.streams
        return total


def draw_noise(geometry: Geometry, noise: MirrorNoise, like: Tensor, stream: Generator) -> Tensor:
    """Draw noise in the shape of the layer's input, of the dtype and on the device of ``like``."""
    if noise.kind == "idealised":
        return geometry.orthonormal_probes(like, stream) * (noise.sigma * math.sqrt(geometry.fan_in))
    shape = geometry.probe_shape(noise.samples, noise.extent)
    x = torch.empty(shape, device=like.device, dtype=like.dtype)
    if noise.kind == "normal":
        return x.normal_(0.0, noise.sigma, generator=stream)
    if noise.kind == "uniform":
        return x.uniform_(-1.0, 1.0, generator=stream).mul_(noise.sigma * 3**0.5)
    return x.bernoulli_(0.5, generator=stream).mul_(2).sub_(1).mul_(noise.sigma)


def summed_terms(geometry: Geometry, x: Tensor, noise: MirrorNoise) -> Tensor | int:
    """Return the number by which a mirror step divides its sum over the noise ``x``."""
    if noise.normalize == "none":
        return 1
    if noise.kind == "idealised":
        return geometry.fan_in
    return geometry.positions(x) if noise.normalize == "positions" else geometry.tap_counts(x)
