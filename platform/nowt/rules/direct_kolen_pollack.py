"""Direct Kolen-Pollack: the direct feedback weights learn from the layer's activity and the output error."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nowt.rules.direct_feedback_alignment import DirectFeedbackAlignment
from nowt.rules.layer_view import LayerView


@dataclass(frozen=True)
class DirectKolenPollack(DirectFeedbackAlignment):
    """Direct Kolen-Pollack: direct feedback alignment whose B learns, ΔB_l = −η e y_lᵀ − λB_l.

    y_l is the layer's input and e the loss's gradient at the network's output; the product is summed over the batch, of
    whose mean loss e is the gradient. In the last layer this is W's own update, so W − B shrinks by 1 − λ at every step
    as under ``kp``. In a layer below, B becomes the readout of y_l that the output errors train, which stands for the
    product of the W above it; no law states that it converges to that product.

    η and λ are those of W: ``optim.lr``, and ``optim.lr`` times ``optim.weight_decay``. Of the gradient signal the rule
    uses only these two. Its own step is that of SGD, v ← μv + r e y_lᵀ + λB/η and B ← B − ηv, whatever optimizer
    updates W. Gradient clipping does not apply to B, and the loss must not be scaled (``GradScaler``).

    B's shape and memory, and how the error travels, are those of ``dfa``; the velocity v takes as much memory as B.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of the initial B, with mean 0. ``"normal"`` (default) or ``"uniform"``.
        scale: Root mean square of |B e| divided by |e| at initialization. Default 1.0; must be above 0; try 0.1 to 10.
        feedback_rate: r, learning rate of B divided by that of W. Default 1.0; must be 0 or above; 0: B only decays.
            B's decay is that of W. Below the last layer, B grows with r; try 0.01 to 1.
        momentum: μ of B's step. Default 0.9, as in ``optim.momentum``; in [0, 1). Set both to the same value.

    Raises:
        ValueError: If ``scale``, ``feedback_rate`` or ``momentum`` is out of range.
        ConfigError: As for ``dfa``.

    Reference:
        Webster, Choi & Ahn (2021), "Learning the connections in direct feedback alignment". The authors' code updates B
        by Adam with a rate that falls by a fifth per epoch.

    Example:
        With η = 0.1 and a weight decay of 1, λ is 0.1, so one step leaves 90 % of W − B in the last layer:

        >>> import torch
        >>> from nowt import DirectKolenPollack, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 3))
        >>> (layer,) = feedback = attach(model, DirectKolenPollack())
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1.0)
        >>> before = (layer.weight - layer.feedback).norm()
        >>> model(torch.ones(2, 4)).square().sum().backward()
        >>> feedback.step(optimizer)
        >>> round(((layer.weight - layer.feedback).norm() / before).item(), 4)
        0.9
    """

    name: ClassVar[str] = "dkp"
    signals: ClassVar[tuple[str, ...]] = ("input", "output_error", "gradient")

    feedback_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.feedback_rate < 0:
            raise ValueError(f"rule.feedback_rate is {self.feedback_rate}: it must be 0 or above")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"rule.momentum is {self.momentum}: it must lie in [0, 1)")

    def prepare(self, layer: LayerView) -> None:
        """Draw B, and register its velocity."""
        super().prepare(layer)
        layer.register_state("velocity", torch.zeros_like(layer.feedback))

    def observe(self, layer: LayerView, x: Tensor | None, y: Tensor | None) -> None:
        """Keep the layer's input until its error arrives."""
        assert x is not None
        layer.cache[f"input {len(layer.cache)}"] = x

    def observe_error(self, layer: LayerView, error: Tensor | None, output_error: Tensor | None) -> None:
        """Add e yᵀ. The errors of a layer that is called several times arrive in reverse order."""
        assert output_error is not None
        product = layer.cache.pop("product", None)
        _, x = layer.cache.popitem()
        errors = self.rows(layer, output_error, x)
        with torch.autocast(x.device.type, enabled=False):
            found = errors.t() @ x.reshape(len(errors), -1).to(errors.dtype)
        layer.cache["product"] = found if product is None else product.add_(found)

    def observe_gradient(self, layer: LayerView, gradient: Tensor, lr: float, weight_decay: float) -> None:
        """Update B by W's η and λ, with the mean of e yᵀ over workers: each has the gradient of its own mean loss."""
        product = layer.cache.get("product", torch.zeros_like(layer.feedback)).view_as(layer.feedback)
        workers = layer.sum_over_workers(layer.new_zeros(1).add_(1))
        product = layer.sum_over_workers(product) / workers
        layer.velocity.mul_(self.momentum).add_(product, alpha=self.feedback_rate)
        layer.velocity.add_(layer.feedback, alpha=weight_decay)
        layer.feedback.sub_(layer.velocity, alpha=lr)
