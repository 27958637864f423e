"""Direct feedback alignment: the error at the network's output goes to every layer through fixed random weights."""

from dataclasses import dataclass
from math import prod, sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nowt.core.errors import ConfigError
from nowt.rules.feedback import FeedbackRule
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class DirectFeedbackAlignment(FeedbackRule):
    """Direct feedback alignment: δ_l = φ'(·) ∘ B_{l+1} e, with the output error e and B drawn once and never changed.

    e is the loss's gradient at the network's output. Each layer has a B of shape (*output, *input), where both are
    shapes of one sample, and sends B e to its input; δ at its own output is used for W alone. What lies between two
    layers (φ', batch norm, pooling) passes the error on as in backprop. Where paths meet, errors add up: with identity
    shortcuts, a layer receives the sum of B e over all layers that its output reaches without passing another layer.
    That sum is again a random projection of e, and it is larger the more residual blocks follow. A projection shortcut
    has a B of its own.

    B is large for convolutions: outputs × channels × height × width numbers, which is 0.8 GB for each
    convolution of ResNet-18's first stage on ImageNet. The B of the network's first layer
    sends nothing. Layers need one output error per input vector or image: a linear layer that sees several positions
    per sample, below a mean over positions, raises ConfigError in its first backward pass.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of B, with mean 0. ``"normal"`` (default) or ``"uniform"``.
        scale: Root mean square of |B e| divided by |e|; B's standard deviation is ``scale`` / √(inputs of one sample).
            Default 1.0; must be above 0. Under SGD, it multiplies the updates of the layers below; try 0.1 to 10.

    Raises:
        ValueError: If ``scale`` is not above 0.
        ConfigError: If ``attach`` did not receive an ``example`` and a convolution is covered, since the size of its
            input is then unknown.

    Reference:
        Nøkland (2016), "Direct feedback alignment provides learning in deep neural networks".

    Example:
        >>> import torch
        >>> from nowt import DirectFeedbackAlignment, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
        >>> [tuple(layer.feedback.shape) for layer in attach(model, DirectFeedbackAlignment())]
        [(3, 8), (3, 6)]
    """

    name: ClassVar[str] = "dfa"
    signals: ClassVar[tuple[str, ...]] = ("output_error",)

    start: Literal["normal", "uniform"] = "normal"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0:
            raise ValueError(f"rule.scale is {self.scale}: it must be above 0")

    def prepare(self, layer: LayerView) -> None:
        """Draw B. Raises ConfigError for a convolution whose input has an unknown size."""
        if len(layer.weight_shape) == 4 and len(layer.input_shape) == 1:
            raise ConfigError(
                f"rule {self.name} needs the size of the input of layer {layer.name}, which is not known: pass example "
                "to attach"
            )
        feedback, stream = layer.new_zeros(*layer.network_outputs, *layer.input_shape), layer.random("feedback")
        std = self.scale / sqrt(prod(layer.input_shape))
        if self.start == "normal":
            stream.normal_(feedback, std)
        else:
            stream.uniform_(feedback, -sqrt(3) * std, sqrt(3) * std)
        layer.register_state("feedback", feedback)

    def send_back(self, layer: LayerView, error: Tensor, x: Tensor, output_error: Tensor) -> Tensor:
        """Return B e, in the shape of ``x``."""
        errors = self.rows(layer, output_error, x)
        with torch.autocast(x.device.type, enabled=False):
            sent: Tensor = errors @ layer.feedback.view(errors.shape[1], -1)
        return sent.view(x.shape)

    def rows(self, layer: LayerView, output_error: Tensor, x: Tensor) -> Tensor:
        """Return e in B's dtype, one row per input: (inputs, outputs). Raises ConfigError if there is not one each."""
        errors = output_error.reshape(-1, prod(layer.network_outputs)).to(layer.feedback.dtype)
        if len(errors) * prod(layer.input_shape) != x.numel():
            raise ConfigError(
                f"rule {self.name}, layer {layer.name}: there are {len(errors)} output errors for an input of shape "
                f"{tuple(x.shape)}, and one is needed for each input of shape {layer.input_shape}: "
                f"{self.exclusion(layer.name, layer.is_output)}"
            )
        return errors
