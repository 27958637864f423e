"""How near a rule's step is to backprop's: the cosine between their gradients of W, on one batch.

cos(g, ∇L) = g·∇L / (|g| |∇L|), where ∇L is backprop's gradient of the loss for all W of the network, and g what the
rule puts in its place: the same forward pass, the error sent back through B. Above 0, a small enough step along −g
lowers the loss (Lillicrap et al. 2016, "Random synaptic feedback weights support error backpropagation for deep
learning": angles below 90°). Both are taken as in training: in train mode, before the rule's clipping, momentum and
decay. Biases and batch norm's γ and β are left out.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowt.evaluation.probes.isolation import as_trained, own_generator, weights_of
from nowt.evaluation.probes.results import WHOLE
from nowt.layers.attach import feedback_layers, using_backprop

Loss = Callable[[Tensor, Tensor], Tensor]


def measure(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> dict[str, float]:
    """The cosine over all W of the network, and over each layer's: 1 where they agree, NaN where one is 0."""
    ours = gradients(model, x, y, loss)
    with using_backprop(feedback_layers(model)):
        theirs = gradients(model, x, y, loss)
    whole = cosine(torch.cat(list(ours.values())), torch.cat(list(theirs.values())))
    return {WHOLE: whole, **{name: cosine(ours[name], theirs[name]) for name in ours}}


def gradients(model: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> dict[str, Tensor]:
    """The gradient of each W in float64, (numbers,), by its layer's name; 0 where no error reaches it."""
    weights = weights_of(model)
    with torch.enable_grad(), own_generator(x.device):  # both passes drop the same units, where units are dropped
        found = torch.autograd.grad(loss(as_trained(model, x), y), list(weights.values()), allow_unused=True)
    flat = (torch.zeros_like(w) if g is None else g for w, g in zip(weights.values(), found, strict=True))
    return {name: g.detach().double().flatten() for name, g in zip(weights, flat, strict=True)}


def cosine(a: Tensor, b: Tensor) -> float:
    """Of two vectors; NaN where one is 0."""
    return float((a @ b) / (a.norm() * b.norm()))
