"""``FeedbackLayer``: the base of the layers that a rule acts on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nowt.rules.geometry import Geometry
from nowt.rules.layer_view import LayerView
from nowt.rules.own_weight import OWN_WEIGHT_ADVICE, has_own_weight

if TYPE_CHECKING:
    from nowt.rules.base import Rule

NONLINEARITIES = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": torch.clone}


class FeedbackLayer(nn.Module, ABC):
    """A convolution or linear layer whose error passes back through its rule's B; the base of both layer classes.

    ``attach`` makes these layers from torch's own; do not construct them. A rule does not receive them, but a
    ``LayerView`` of each. W and B are in W's layout, so the papers' "B = Wᵀ" reads ``feedback == weight``.

    Attributes:
        weight: W; (out, in) or (out, in / groups, kh, kw).
        bias: The bias, (out,), or None.
        feedback: B, in W's shape where the error passes through it. Never requires a gradient.
        rule: The attached rule.
        name: Dotted name of the layer in its model.
        activation: Nonlinearity above the layer, a key of ``NONLINEARITIES``; ``"linear"`` for the last layer.
        output_layer: Last layer of the network, whose error direct feedback broadcasts.
        use_backprop: Whether forward passes attach backprop's backward path instead of the rule's. Set by
            ``nowt.layers.using_backprop`` to measure the reference. Default: False.
        map_size: Height and width of the layer's input; None for linear layers and without an example input.
        through_feedback: Whether the error passes through a covered layer on its way to this one; None until an
            alignment probe has found out.
        tied: Other layers with the same W, which share this layer's B. Rules receive only the first layer of each W.
        weight_std: Standard deviation of W at ``attach``.
        cache: What the rule keeps within a step.
        state_names: Names of the tensors that the rule registered, B among them.
        plain: Whether the error passes through B and the rule observes nothing on the way.
        output_error: Keeps the loss's gradient at the network's output, for rules that use it.
        observed: Whether the rule observes forward and backward passes; False while something is measured.
        make_view: Makes what the rule receives of the layer. Certificates replace it, to record what B sends back.

    Example:
        >>> import torch
        >>> from nowt import FeedbackAlignment, FeedbackLayer, attach
        >>> (layer,) = attach(torch.nn.Sequential(torch.nn.Linear(4, 3)), FeedbackAlignment())
        >>> isinstance(layer, FeedbackLayer), layer.name, layer.fan_in
        (True, '0', 4)
        >>> layer.feedback.shape == layer.weight.shape, layer.feedback.requires_grad
        (True, False)
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    feedback: Tensor
    rule: "Rule"
    name: str
    activation: str
    use_backprop: bool = False
    map_size: tuple[int, int] | None = None
    through_feedback: bool | None = None
    tied: tuple["FeedbackLayer", ...] = ()
    observed: bool = True
    weight_std: Tensor
    cache: dict[str, Tensor]
    state_names: tuple[str, ...]
    plain: bool
    output_error: Any
    make_view: Callable[..., LayerView] = LayerView

    def register_state(self, name: str, value: Tensor) -> None:
        """Register a tensor that is saved and moved with the layer but never receives a gradient from autograd."""
        self.register_parameter(name, nn.Parameter(value, requires_grad=False))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FeedbackLayer":
        """Move or convert ``weight_std`` with W, as in ``model.to(device)``."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if "weight_std" in self.__dict__:
            self.__dict__["weight_std"] = fn(self.weight_std)
        return self

    @property
    def output_layer(self) -> nn.Module:
        """The last layer of the network. It holds no reference to itself, which would keep it in memory."""
        found: nn.Module = self.__dict__.get("output_layer", self)
        return found

    def nonlinearity(self, y: Tensor) -> Tensor:
        """Return φ(y)."""
        return NONLINEARITIES[self.activation](y)

    @property
    @abstractmethod
    def geometry(self) -> Geometry:
        """The shapes of the layer's map."""

    @property
    def fan_in(self) -> int:
        """Number of weights of one output unit."""
        return self.weight[0].numel()

    @abstractmethod
    def apply_with_feedback(self, x: Tensor, feedback: Tensor) -> Tensor:
        """Return W x + bias; the error passes back through ``feedback``, which has W's shape."""

    @abstractmethod
    def apply_plain(self, x: Tensor) -> Tensor:
        """Return W x + bias, with torch's own backward path."""

    @abstractmethod
    def apply_weight(self, x: Tensor, padded: bool = True) -> Tensor:
        """Return W x, without bias and nonlinearity (mirror mode)."""


def check_own_weights(layers: Sequence["FeedbackLayer"]) -> None:
    """Raise ValueError if a layer whose B learns from W has been pruned or parametrized since ``attach``."""
    for layer in layers:
        if not has_own_weight(layer):
            raise ValueError(
                f"layer {layer.name} now computes its weight from other parameters, so its B cannot learn by rule "
                f"{layer.rule.name}: {OWN_WEIGHT_ADVICE}"
            )
