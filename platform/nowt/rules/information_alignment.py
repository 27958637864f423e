"""Information alignment: B learns from activity to reconstruct a layer's input from its output."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nowt.rules.feedback import DrawnFeedback
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class InformationAlignment(DrawnFeedback):
    """Information alignment: ΔB = η (a ⟨y xᵀ⟩ − b ⟨y (Bᵀy)ᵀ⟩ − c B), from the layer's own activity.

    x is the layer's input, y = W x its output before the nonlinearity, and ⟨·⟩ the mean over samples and positions.
    After each step, B descends the gradient of the sum of three primitives: *amp*, −a ⟨yᵀ B x⟩, drives B towards W;
    *null*, b/2 ⟨|Bᵀy|²⟩, bounds the output that B sends back; *decay*, c/2 |B|². Unlike in the paper, they do not enter
    W's update.

    With white inputs (⟨x xᵀ⟩ = σ²I) of a linear layer, B converges to a (b W Wᵀ + c/σ² I)⁻¹ W, in W's layout. If the
    rows of W are orthogonal and of one length, or if c is large, it is a multiple of W. Inputs that are not white turn
    B away from W. Convergence takes about 1/(ηc) steps, and B is stable if η (b v + c) < 2, where v is the largest
    eigenvalue of ⟨y yᵀ⟩, over taps as well in a convolution. v grows with the number of outputs; choose a smaller η for
    wide layers.

    Activity of the current step is kept until its end: x and y of every layer.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of the initial B. ``"as_weight"`` (default): W's own entries in random order. ``"normal"``
            or ``"uniform"``: that distribution, with mean 0 and W's standard deviation.
        scale: Standard deviation of B divided by that of W at initialization. Default 1.0; must be above 0.
        angle: Angle between B and W at initialization, in degrees, from 0 to 180; B then has ``scale`` times the norm
            of W. Default None: B is independent of W, so the angle is about 90°.
        eta: η, rate of B's update, in 1 / (squared activity). Default 0.005; must be above 0; try 0.001 to 0.05.
        amp: a, weight of the primitive amp. Default 1.0; must be above 0. B is proportional to it.
        null: b, weight of the primitive null. Default 0.5; must be 0 or above.
        decay: c, weight of the primitive decay, in squared activity. Default 0.5; must be 0 or above.
        center: Subtract from each unit of x and y its mean over the batch (all samples and positions, of all workers).
            Default True: the mean of rectified inputs would otherwise dominate ⟨x xᵀ⟩.

    Raises:
        ValueError: If a field is out of range.

    Reference:
        Kunin et al. (2020), "Two routes to scalable credit assignment without weight symmetry". In the authors' code,
        without factors ½, the defaults correspond to a = b = c.

    Example:
        >>> import torch
        >>> from nowt import InformationAlignment, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(20, 10))
        >>> (layer,) = feedback = attach(model, InformationAlignment(eta=0.2))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        >>> for _ in range(100):
        ...     model(torch.randn(512, 20, generator=torch.Generator().manual_seed(0))).sum().backward()
        ...     feedback.step(optimizer)
        >>> cosine = torch.cosine_similarity(layer.feedback.flatten(), layer.weight.flatten(), dim=0)
        >>> round(cosine.item(), 1)
        1.0
    """

    name: ClassVar[str] = "ia"
    signals: ClassVar[tuple[str, ...]] = ("input", "preactivation")

    eta: float = 0.005
    amp: float = 1.0
    null: float = 0.5
    decay: float = 0.5
    center: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("eta", "amp"):
            if getattr(self, name) <= 0:
                raise ValueError(f"rule.{name} is {getattr(self, name)}: it must be above 0")
        for name in ("null", "decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"rule.{name} is {getattr(self, name)}: it must be 0 or above")

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        """Keep the layer's input and output until the end of the step."""
        assert x is not None and y is not None
        number = len(layer.cache) // 2
        layer.cache.update({f"x {number}": x, f"y {number}": y})

    def after_step(self, layer: LayerView, step: int) -> None:
        """Update B by the three primitives, with means over all passes of the step and all workers."""
        sums = {name: layer.new_zeros(*layer.weight_shape) for name in ("amp", "null")}
        terms = layer.new_zeros(1)
        for number in range(len(layer.cache) // 2):
            x, y = (layer.cache[f"{name} {number}"].to(layer.feedback.dtype) for name in "xy")
            if self.center:
                x, y = layer.center(x), layer.center(y)
            sums["amp"] += layer.outer_product(x, y)
            sums["null"] += layer.outer_product(layer.send_back(y, x), y)
            terms += y.numel() // layer.weight_shape[0]
        count = layer.sum_over_workers(terms).clamp(min=1)
        amp, null = (layer.sum_over_workers(value) / count for value in sums.values())
        layer.feedback.add_(self.amp * amp - self.null * null - self.decay * layer.feedback, alpha=self.eta)
