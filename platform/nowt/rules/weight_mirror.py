"""Weight mirror: B learns the transpose of W from noise that passes through W, in a mirror mode between steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from nowt.core.seeding import seed_of
from nowt.rules.base import Moment, check_own_weights
from nowt.rules.feedback import DrawnFeedback
from nowt.rules.mirror_control import MirrorSettings, layer_settings, replaced_by_target
from nowt.rules.mirror_noise import check_biases, check_reach, draw_noise, summed_terms
from nowt.rules.mirror_work import MirrorWork
from nowt.rules.schedule import Schedule

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


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

    def noise_streams(self) -> int:
        """Return ``streams``."""
        return self.streams

    def check_layer(self, name: str, last: bool, layer: nn.Module) -> None:
        """Also raise ValueError if W starts at 0 and mirror mode ends before W changes, so that B would stay 0."""
        super().check_layer(name, last, layer)
        only_before = self.interval == 0 and self.burst == 0
        if only_before and not cast(Tensor, layer.weight).detach().any():
            raise ValueError(
                f"all weights of layer {name} start at 0 and rule.interval is 0, so its B would stay 0: set "
                f"rule.interval above 0, give the layer another initialization, or {self.exclusion(name, last)}"
            )

    def before_learning(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int | MirrorWork:
        """Do ``warmup`` mirror steps.

        Raises ValueError if, at ``extent``, no noise reaches some weights of a padded layer, or if a field needs the
        run's schedule, which only ``train`` knows.
        """
        if self.target_angle is not None:
            return self._target_before_learning(layers, moment)
        if self.extent and self.noise != "idealised":
            check_reach(layers, self.extent)
        if self.bias:
            check_biases(layers)
        if self.burst:
            self._schedule(moment)
        for step in range(self.warmup):
            speed = max(1.0, 1 / ((step + 2) * self.decay)) if self.decay > 0 else 1.0
            self._mirror(layers, moment, (step - self.warmup,), speed)
        return self.warmup * self.samples * self.streams

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int | MirrorWork:
        """Do a mirror step every ``interval`` training steps, and ``burst`` of them after every ``burst_epochs``
        epochs."""
        if self.target_angle is not None:
            return self._target_after_step(layers, moment)
        steps = 0
        if self.interval and moment.step % self.interval == 0:
            self._mirror(layers, moment, (moment.step,))
            steps += 1
        if self.burst and moment.step % (self.burst_epochs * self._schedule(moment).steps_per_epoch) == 0:
            for number in range(self.burst):
                self._mirror(layers, moment, (moment.step, "burst", number))
            steps += self.burst
        return steps * self.samples * self.streams

    def _target_before_learning(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> MirrorWork:
        """Do the mirror steps of each layer before learning; step k has η = λ = max(λ, 1/k)."""
        work = MirrorWork()
        for layer, chosen in zip(
            layers, layer_settings(self.target_angle, layers, self._schedule(moment)), strict=True
        ):
            rule = with_settings(self, chosen)
            for step in range(chosen.warmup):
                speed = max(1.0, 1 / ((step + 1) * chosen.decay))
                rule._mirror([layer], moment, (step - chosen.warmup,), speed)
            work += chosen.work(layer, len(layers)) * chosen.warmup
        return work

    def _target_after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> MirrorWork:
        """Do a mirror step in each layer whose W has turned by its share since its last one."""
        work, schedule = MirrorWork(), self._schedule(moment)
        for layer, chosen in zip(layers, layer_settings(self.target_angle, layers, schedule), strict=True):
            if schedule.reaches(moment.step, chosen.turnover):
                with_settings(self, chosen)._mirror([layer], moment, (moment.step,))
                work += chosen.work(layer, len(layers))
        return work

    def _schedule(self, moment: Moment) -> Schedule:
        if moment.schedule is None:
            field = "burst" if self.target_angle is None else "target_angle"
            raise ValueError(
                f"rule.{field} needs the length of an epoch and the learning-rate schedule, which nowt knows only in "
                "nowt.train: in your own loop, set samples, interval and decay"
            )
        return moment.schedule

    @torch.no_grad()
    def _mirror(
        self, layers: Sequence["FeedbackLayer"], moment: Moment, label: tuple[int | str, ...], speed: float = 1.0
    ) -> None:
        """Do one mirror step. ``label`` names it, so that its noise differs from that of all others."""
        check_own_weights(layers)
        mine = range(moment.group.rank, self.streams, moment.group.size) if self.streams > 1 else range(1)
        for layer in layers:
            update = self._update(layer, moment.seed, label, mine[0], speed)
            for number in mine[1:]:
                update += self._update(layer, moment.seed, label, number, speed)
            if self.streams > 1:
                moment.group.sum([update])
                update /= self.streams
            layer.feedback.mul_(1 - speed * self.decay).add_(update)

    def _update(
        self, layer: "FeedbackLayer", seed: int, label: tuple[int | str, ...], number: int, speed: float
    ) -> Tensor:
        """Return η x yᵀ for one stream of noise."""
        name = (layer.name, *label, number) if number else (layer.name, *label)
        stream = torch.Generator(layer.weight.device).manual_seed(seed_of(seed, "mirror", *name))
        x = self._draw(layer, stream)
        padded = self.noise != "idealised"
        y = self._response(layer, x, padded)
        if self.receiver_noise > 0:
            y = y + self.receiver_noise * torch.randn(y.shape, generator=stream, device=y.device, dtype=y.dtype)
        return layer.outer_product_sum(x, y, padded).mul_(self._rate(layer, x) * speed)

    def _draw(self, layer: "FeedbackLayer", stream: torch.Generator) -> Tensor:
        return draw_noise(layer, self.noise, self.sigma, (self.samples, self.extent), stream)

    def _rate(self, layer: "FeedbackLayer", x: Tensor) -> Tensor | float:
        return self.eta / summed_terms(layer, x, self.noise, self.normalize)

    def _response(self, layer: "FeedbackLayer", x: Tensor, padded: bool) -> Tensor:
        """Return the layer's response to x, without receiver noise."""
        y = layer.apply_weight(x, padded)
        if self.bias and layer.bias is not None:
            y = y + layer.bias.view(-1, *[1] * (y.dim() - 2))
        if self.through == "linear":
            return y
        if self.last_activation == "sigmoid" and layer is layer.output_layer:
            return y.sigmoid()
        return layer.nonlinearity(y)

    def shortened(self, pace: float) -> "WeightMirror":
        """Return the rule with fewer mirror steps before learning, unless the schedule decides their number."""
        warmup = self.warmup if self.target_angle is not None else math.ceil(self.warmup * pace)
        return replace(self, warmup=warmup, burst_epochs=min(self.burst_epochs, math.ceil(self.burst_epochs * pace)))


@lru_cache(maxsize=1024)
def with_settings(rule: WeightMirror, chosen: MirrorSettings) -> WeightMirror:
    """Return the weight mirror that has these settings, for one layer."""
    return replace(
        rule, target_angle=None, samples=chosen.samples, extent=chosen.extent, eta=chosen.decay, decay=chosen.decay
    )
