"""Similarity of a rule's update to backprop's: the cosine between their gradients of W on one batch.

cos(g, ∇L) = g·∇L / (|g| |∇L|), where ∇L is backprop's gradient of the loss and g is the rule's, from the same forward
pass with the error sent back through B. If it is above 0, a sufficiently small step along −g lowers the loss: Lillicrap
et al. (2016), "Random synaptic feedback weights support error backpropagation for deep learning" (angles below 90°).

Both gradients are computed as in training: in train mode, before clipping, momentum and weight decay. Biases and the
γ and β of batch norm are left out.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowt.core.random_state import preserved_random_state
from nowt.evaluation.probes.model_state import trained_weights
from nowt.evaluation.probes.results import WHOLE_NETWORK
from nowt.layers.attach import feedback_layers, using_backprop
from nowt.layers.model_state import gradients_of, in_mode, preserved_buffers

Loss = Callable[[Tensor, Tensor], Tensor]


def measure(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> dict[str, float]:
    """Return the cosine over all W of the network, and for each layer; NaN if one of the gradients is 0.

    The cosine of the network is NaN if that of a layer is: in a dead network, it would be that of the output layer,
    which is 1 under every rule.
    """
    rule = gradients(model, x, y, loss)
    with using_backprop(feedback_layers(model)):
        backprop = gradients(model, x, y, loss)
    layers = {name: cosine(rule[name], backprop[name]) for name in rule}
    network = cosine(torch.cat(list(rule.values())), torch.cat(list(backprop.values())))
    return {WHOLE_NETWORK: network if all(map(math.isfinite, layers.values())) else math.nan, **layers}


def gradients(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> dict[str, Tensor]:
    """Return the gradient of each W as a float64 vector, by layer name; 0 if no error reaches it."""
    weights = trained_weights(model)
    random_state = preserved_random_state(x.device)  # so that dropout is the same under both
    with torch.enable_grad(), in_mode(model, training=True), preserved_buffers(model), random_state:
        found = gradients_of(lambda: loss(model(x), y), list(weights.values()), model)
    dense = (torch.zeros_like(w) if g is None else g for w, g in zip(weights.values(), found, strict=True))
    return {name: g.detach().double().flatten() for name, g in zip(weights, dense, strict=True)}


def cosine(a: Tensor, b: Tensor) -> float:
    """Return the cosine of two vectors; NaN if one is 0."""
    return float((a @ b) / (a.norm() * b.norm()))
