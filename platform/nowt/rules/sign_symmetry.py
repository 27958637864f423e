"""Sign-symmetry: feedback weights that share only the signs of the forward weights."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from nowt.rules.feedback import FeedbackRule
from nowt.rules.initialization import Distribution, Initialization
from nowt.rules.layer_view import LayerView


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
        >>> from nowt import SignSymmetry, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> (layer,) = feedback = attach(model, SignSymmetry(magnitudes="constant"))
        >>> model(torch.ones(1, 4)).sum().backward()
        >>> feedback.step(torch.optim.SGD(model.parameters(), lr=1.0))
        >>> torch.equal(layer.feedback.sign(), layer.weight.sign())
        True
    """

    name: ClassVar[str] = "ss"
    signals: ClassVar[tuple[str, ...]] = ("sign",)

    magnitudes: Literal["constant", "fixed", "redrawn"] = "fixed"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0:
            raise ValueError(f"rule.scale is {self.scale}: it must be above 0")

    def initialization(self) -> Initialization:
        """Return the distribution of the magnitudes; nowt gives them the signs of W."""
        distributions: dict[str, Distribution] = {"constant": "constant", "fixed": "as_weight", "redrawn": "uniform"}
        return Initialization(distributions[self.magnitudes], self.scale)

    def prepare(self, layer: LayerView) -> None:
        """Register the upper bound of redrawn magnitudes."""
        if self.magnitudes == "redrawn":
            layer.register_state("largest", layer.weight_std * (math.sqrt(3) * self.scale))

    def after_step(self, layer: LayerView, step: int) -> None:
        """Redraw the magnitudes uniformly from (0, largest); nowt then copies the signs of W."""
        if self.magnitudes == "redrawn":
            layer.random("magnitudes").uniform_(layer.feedback).mul_(layer.largest)
