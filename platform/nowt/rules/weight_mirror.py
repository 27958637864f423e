"""Weight mirror: B learns the transpose of W from noise that passes through W, in a mirror mode between steps."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView
from nowt.rules.mirror_control import replaced_by_target
from nowt.rules.mirror_noise import MirrorNoise, MirrorSamples


@dataclass(frozen=True)
class WeightMirror(DrawnFeedback):
    """Weight mirror: ΔB = η x yᵀ − λB, where y is the layer's response to fresh noise x.

    In mirror mode, between training steps, every layer receives its own noise, and B learns from the response. In
    expectation B converges to c W with the gain c = η σ² / λ (half of that with ``through="nonlinearity"`` and ReLU;
    with ``normalize="none"``, times the number of samples and positions). Choose η and λ so that c is near 1: B
    multiplies the error signal by c in every layer. Noise is never passed on to the next layer, and W, batch norm and
    its statistics do not change.

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
        bias: Add the layer's bias to the response. Default False: a bias adds noise to B, and changes the gain of its
            output unit if the noise passes a nonlinearity. Not for ``noise="idealised"``.
        last_activation: Nonlinearity that the noise passes in the last layer. ``"linear"`` (default): none, since
            networks return logits. ``"sigmoid"``: that of a sigmoid cross-entropy; for ``through="nonlinearity"`` only.
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
        burst: Mirror steps in a phase in which learning pauses. Default 0: there are no such phases.
        burst_epochs: Epochs from one phase to the next; at least 1. Default 1; for ``burst`` above 0 only.
        target_angle: Angle in degrees, above 0 and below 90, that nowt is to hold between B and W; the root mean square
            of the layers' tangents. nowt then chooses ``samples``, ``extent``, ``interval``, ``warmup``, ``eta`` and
            ``decay`` for each layer (see ``nowt.rules.mirror_control``), which must be left out. It needs weight decay,
            by which it knows how fast W turns. This is a controller outside the rule: no brain is claimed to have it.
            Default None: the fields above are used.
        streams: Streams of noise per mirror step. Default 1: with several workers, all draw the same noise and
            communicate nothing. With more (1 or a multiple of the workers), they divide the streams among themselves
            and average B's updates once per mirror step. A single worker draws all streams, so the number of workers
            changes only rounding.

    Raises:
        ValueError: If a field is out of range, or if ``target_angle`` is given beside a field that it replaces.

    Reference:
        Akrout et al. (2019), "Deep learning without weight transport", equation 7 and section "mirror mode".

    Example:
        >>> import torch
        >>> from nowt import WeightMirror, attach
        >>> rule = WeightMirror(samples=32, warmup=50)
        >>> (layer,) = feedback = attach(torch.nn.Sequential(torch.nn.Linear(20, 10)), rule)
        >>> feedback.before_learning()
        >>> cosine = torch.cosine_similarity(layer.feedback.flatten(), layer.weight.flatten(), dim=0)
        >>> round(cosine.item(), 2)
        1.0
    """

    name: ClassVar[str] = "wm"
    numerics: ClassVar[int | str] = 2
    signals: ClassVar[tuple[str, ...]] = ("mirror",)

    eta: float = 0.02
    decay: float = 0.02
    noise: Literal["normal", "uniform", "sign", "idealised"] = "normal"
    sigma: float = 1.0
    receiver_noise: float = 0.0
    through: Literal["linear", "nonlinearity"] = "linear"
    bias: bool = False
    last_activation: Literal["linear", "sigmoid"] = "linear"
    normalize: Literal["none", "positions", "taps"] = "taps"
    samples: int = 16
    extent: int = 8
    interval: int = 8
    warmup: int = 100
    burst: int = 0
    burst_epochs: int = 1
    target_angle: float | None = None
    streams: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("eta", "sigma"):
            if getattr(self, field) <= 0:
                raise ValueError(f"rule.{field} is {getattr(self, field)}: it must be above 0")
        if not 0 <= self.decay < 2:
            raise ValueError(f"rule.decay is {self.decay}: it must lie in [0, 2), or B grows without bound")
        for field in ("receiver_noise", "extent", "interval", "warmup", "burst"):
            if getattr(self, field) < 0:
                raise ValueError(f"rule.{field} is {getattr(self, field)}: it must be 0 or above")
        for field in ("samples", "streams", "burst_epochs"):
            if getattr(self, field) < 1:
                raise ValueError(f"rule.{field} is {getattr(self, field)}: it must be at least 1")
        if self.burst_epochs != 1 and self.burst == 0:
            raise ValueError(f"rule.burst_epochs is {self.burst_epochs}: it is for rule.burst above 0")
        if self.bias and self.noise == "idealised":
            raise ValueError("rule.bias is for random noise: with rule.noise idealised, the response is W alone")
        if self.last_activation != "linear" and (self.through, self.last_layer) != ("nonlinearity", "rule"):
            raise ValueError(
                f"rule.last_activation {self.last_activation} needs rule.through nonlinearity and "
                f"rule.last_layer rule: they are {self.through} and {self.last_layer}"
            )
        self._check_target()

    def _check_target(self) -> None:
        if self.target_angle is None:
            return
        if not 0 < self.target_angle < 90:
            raise ValueError(f"rule.target_angle is {self.target_angle}: it must lie above 0 and below 90 degrees")
        for name in replaced_by_target(self)[:1]:
            value = getattr(self, name)
            raise ValueError(
                f"rule.{name} is {value}: with rule.target_angle, nowt chooses it; leave out one of the two"
            )

    def mirror_noise(self) -> MirrorNoise:
        """Return the noise that the fields describe."""
        return MirrorNoise(
            kind=self.noise,
            sigma=self.sigma,
            receiver_noise=self.receiver_noise,
            through=self.through,
            bias=self.bias,
            last_activation=self.last_activation,
            normalize=self.normalize,
            samples=self.samples,
            extent=self.extent,
            streams=self.streams,
            interval=self.interval,
            warmup=self.warmup,
            burst=self.burst,
            burst_epochs=self.burst_epochs,
            target_angle=self.target_angle,
        )

    def observe_mirror(self, layer: LayerView, samples: MirrorSamples) -> None:
        """Update B by η x yᵀ − λB; with a target angle, η = λ is what nowt chose."""
        eta, decay = (self.eta, self.decay) if samples.decay is None else (samples.decay, samples.decay)
        speed, rate = _speed(samples, decay), eta / samples.terms
        update = samples.mean(lambda x, y: samples.product(x, y).mul_(rate * speed))
        layer.feedback.mul_(1 - speed * decay).add_(update)

    def shortened(self, pace: float) -> "WeightMirror":
        """Return the rule with fewer mirror steps before learning, unless the schedule decides their number."""
        warmup = self.warmup if self.target_angle is not None else math.ceil(self.warmup * pace)
        return replace(self, warmup=warmup, burst_epochs=min(self.burst_epochs, math.ceil(self.burst_epochs * pace)))


def _speed(samples: MirrorSamples, decay: float) -> float:
    """Return the factor of η and λ in mirror step k before learning; 1 during training."""
    if samples.before_learning is None or decay == 0:
        return 1.0
    first = 2 if samples.decay is None else 1
    return max(1.0, 1 / ((samples.before_learning + first) * decay))
