"""The trained weights of a network."""

from torch import nn


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return every trained W (kernels and matrices, no biases) by layer name, in the model's order."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1}
    return {name.removesuffix(".weight"): p for name, p in found.items()}
