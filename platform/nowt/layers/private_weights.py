"""Which layers a test of weight transport may change: those whose W nothing else in the model uses."""

from collections.abc import Sequence

from torch import nn

from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.own_weight import has_own_weight


def layers_with_private_weights(model: nn.Module, layers: Sequence[FeedbackLayer]) -> list[FeedbackLayer]:
    """Return the layers whose W no other module of ``model`` holds, except for layers tied to them.

    An embedding that shares a layer's W, as in language models, would show a change of W in the forward pass. A pruned
    or parametrized layer computes its W from other parameters, so a change would be lost.
    """
    return [layer for layer in layers if has_own_weight(layer) and not _is_held_elsewhere(model, layer)]


def _is_held_elsewhere(model: nn.Module, layer: FeedbackLayer) -> bool:
    own = {id(one) for one in (layer, *layer.tied)}
    others = (module for module in model.modules() if id(module) not in own)
    return any(parameter is layer.weight for module in others for parameter in module._parameters.values())
