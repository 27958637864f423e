"""Feedback alignment: the error passes back through fixed random weights."""

from dataclasses import dataclass
from typing import ClassVar

from nowt.rules.feedback import DrawnFeedback


@dataclass(frozen=True)
class FeedbackAlignment(DrawnFeedback):
    """Feedback alignment: δ_l = φ'(·) ∘ B_{l+1} δ_{l+1}, with B drawn once and never changed.

    Args:
        last_layer: ``"rule"`` (default): the last layer has a B. ``"backprop"``: its error passes back through Wᵀ.
        shortcuts: ``"rule"`` (default): projection shortcuts of residual blocks have a B. ``"backprop"``: they use Wᵀ.
        start: Distribution of the initial B. ``"as_weight"`` (default): W's own entries in random order. ``"normal"``
            or ``"uniform"``: that distribution, with mean 0 and W's standard deviation.
        scale: Standard deviation of B divided by that of W at initialization. B multiplies the error signal by it in
            every layer. Default 1.0; must be above 0; the shipped search spaces try 0.3 to 3.
        angle: Angle between B and W at initialization, in degrees, from 0 to 180; B then has ``scale`` times the norm
            of W. Default None: B is independent of W, so the angle is about 90°.

    Raises:
        ValueError: If ``scale`` or ``angle`` is out of range.

    Reference:
        Lillicrap, Cownden, Tweed & Akerman (2016), "Random synaptic feedback weights support error backpropagation for
        deep learning".

    Example:
        >>> import torch
        >>> from nowt import FeedbackAlignment, attach
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
        >>> layers = attach(model, FeedbackAlignment(scale=0.5), seed=1)
        >>> [round((layer.feedback.std() / layer.weight.std()).item(), 3) for layer in layers]
        [0.5, 0.5]
    """

    name: ClassVar[str] = "fa"
