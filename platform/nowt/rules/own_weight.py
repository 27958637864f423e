"""Whether a layer's W is a parameter of its own, from which its B can learn."""

from torch import nn

OWN_WEIGHT_ADVICE = (
    "make the weight a parameter again (torch.nn.utils.prune.remove, torch.nn.utils.remove_weight_norm, "
    "torch.nn.utils.parametrize.remove_parametrizations)"
)


def has_own_weight(layer: nn.Module) -> bool:
    """Return whether W is a parameter of the layer. Pruning and weight norm compute it before each forward pass, so
    that it has no gradient and is outdated after a step."""
    return "weight" in layer._parameters
