"""Sign-symmetry: feedback weights that share only the signs of the forward weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.rules.base import Moment, check_own_weights
from nowt.rules.feedback import FeedbackRule, draw_feedback

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


@dataclass(frozen=True)
class SignSymmetry(FeedbackRule):
    """Sign-symmetry: B = |R| ∘ sign(W). The signs follow W at every step; the magnitudes |R| do not depend on W.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        magnitudes: How |R| is set. ``"fixed"`` (default): drawn once, from W's initial distribution. ``"constant"``:
            one value for all synapses of a layer. ``"redrawn"``: drawn again after each step, from a uniform
            distribution.
        scale: Root mean square of the magnitudes divided by that of W at initialization. B multiplies the error signal
            by it in every layer. Default 1.0; must be above 0; the shipped search spaces try 0.3 to 3.

    Raises:
        ValueError: If ``scale`` is not above 0.

    Reference:
        Liao, Leibo & Poggio (2016), "How important is weight symmetry in backpropagation?"; Xiao et al. (2018),
        "Biologically-plausible learning algorithms can scale to large datasets". The initial angles in the curves of
        Akrout et al. (2019) fit random magnitudes drawn from W's own initializer, and exclude constant ones.

    Example:
        >>> import torch
        >>> from nowt import Moment, SignSymmetry, attach
        >>> rule = SignSymmetry(magnitudes="constant")
        >>> (layer,) = layers = attach(torch.nn.Sequential(torch.nn.Linear(4, 3)), rule)
        >>> with torch.no_grad():
        ...     _ = layer.weight.neg_()
        >>> rule.after_step(layers, Moment(step=1, seed=0))
        0
        >>> torch.equal(layer.feedback.sign(), layer.weight.sign())
        True
    """

    name: ClassVar[str] = "ss"
    transports: ClassVar[str] = "sign"
    learns_from: ClassVar[Literal["", "gradient", "mirror", "weight"]] = "weight"

    magnitudes: Literal["constant", "fixed", "redrawn"] = "fixed"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0:
            raise ValueError(f"rule.scale is {self.scale}: it must be above 0")

    def check_layer(self, name: str, last: bool, layer: nn.Module) -> None:
        """Also raise ValueError if the magnitudes, which follow W's initial distribution, would stay 0."""
        super().check_layer(name, last, layer)
        lowest, highest = cast(Tensor, layer.weight).detach().aminmax()
        if lowest == highest and (lowest == 0 or self.magnitudes == "redrawn"):
            raise ValueError(
                f"all weights of layer {name} start at {float(lowest):g}, so the magnitudes of B would stay 0: give "
                f"the layer another initialization, or {self.exclusion(name, last)}"
            )

    def prepare(self, layer: "FeedbackLayer", seed: int) -> None:
        """Register magnitudes with the signs of W."""
        weight = layer.weight.detach()
        if self.magnitudes == "constant":
            size = torch.full_like(weight, float(weight.square().mean().sqrt()))
        else:
            start = "as_weight" if self.magnitudes == "fixed" else "uniform"
            size = draw_feedback(weight, start, seed, layer.name).abs()
        layer.register_state("feedback", torch.copysign(size * self.scale, weight))
        if self.magnitudes == "redrawn":
            layer.register_state("largest", weight.std() * (math.sqrt(3) * self.scale))

    def after_step(self, layers: Sequence["FeedbackLayer"], moment: Moment) -> int:
        """Update the signs from W, in place. Raises ValueError if a layer has been pruned since ``attach``."""
        check_own_weights(layers)
        for layer in layers:
            if self.magnitudes == "redrawn":
                _redraw(layer.feedback, layer.largest, moment, layer.name)
            torch.copysign(layer.feedback, layer.weight.detach(), out=layer.feedback)
        return 0


def _redraw(feedback: Tensor, largest: Tensor, moment: Moment, name: str) -> None:
    """Redraw magnitudes uniformly from (0, largest); a pure function of (seed, layer, step)."""
    stream = generator(moment.seed, "magnitudes", name, moment.step)
    if feedback.is_cuda:
        stream = torch.Generator(feedback.device).manual_seed(stream.initial_seed())
    feedback.uniform_(0.0, 1.0, generator=stream).mul_(largest)
