"""Checks before a step in a custom loop that the rule can still train the model, and that there are gradients."""

from collections.abc import Iterable, Mapping, Sequence

from torch import nn
from torch.optim import LBFGS, Optimizer

from nowt.core.errors import ConfigError
from nowt.layers.step_reminder import parameters_of
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer, check_own_weights

OWN = ("weight", "bias")  # parameters of torch's layers


def every_layer(layers: Iterable[FeedbackLayer]) -> list[FeedbackLayer]:
    """Return all layers, also those that share a W with an earlier one."""
    return [one for layer in layers for one in (layer, *layer.tied)]


def check_structure(layers: Sequence[FeedbackLayer], model: nn.Module, rule: Rule, known: Iterable[nn.Module]) -> None:
    """Raise ConfigError if a layer has been taken out of the model or added to it since ``attach``.

    ``known`` are the modules of the model at ``attach``. A new layer that the rule does not cover may be added.
    """
    present = set(model.modules())
    for layer in every_layer(layers):
        if layer not in present:
            raise ConfigError(
                f"layer {layer.name} is no longer part of the model, so what replaced it uses backprop: replace "
                "layers before nowt.attach"
            )
    old = set(known)
    last = layers[0].output_layer if layers else None
    for name, module in model.named_modules():
        is_new = type(module) in (nn.Conv2d, nn.Linear) and module not in old
        if is_new and layers and rule.covers(name, last not in present):
            raise ConfigError(
                f"layer {name} was added to the model after nowt.attach, so it uses backprop: add layers before "
                "nowt.attach, or keep a layer that does not use the rule in a module of its own"
            )


def check_own_weight(layers: Sequence[FeedbackLayer], rule: Rule) -> None:
    """Raise ConfigError if B learns and its layer has been pruned or parametrized, or shares W no more.

    A rule itself finds this only when it updates B, which may be many steps later.
    """
    if not rule.learns_from:
        return
    try:
        check_own_weights(every_layer(layers))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    for layer in layers:
        for other in layer.tied:
            if other.weight is not layer.weight:
                raise ConfigError(
                    f"layers {layer.name} and {other.name} shared one W at nowt.attach and no longer do, but they "
                    "share one B: share or separate weights before nowt.attach"
                )


def check_gradients(optimizers: Sequence[Optimizer], rule: Rule) -> None:
    """Raise ConfigError unless a parameter has a gradient, and no optimizer has to compute the gradients itself."""
    for optimizer in optimizers:
        if isinstance(optimizer, LBFGS):
            advice = "use SGD or AdamW"
            if not rule.learns_from:
                advice += f", or optimizer.step(closure) alone, since the B of rule {rule.name} is fixed"
            raise ConfigError(
                "the optimizer LBFGS computes several gradients for one step, which feedback.step cannot do: " + advice
            )
    if all(parameter.grad is None for optimizer in optimizers for parameter in parameters_of(optimizer)):
        raise ConfigError(
            "no parameter of the optimizer has a gradient: call loss.backward() before feedback.step, and "
            "optimizer.zero_grad() after it"
        )


def state_names(layers: Iterable[FeedbackLayer]) -> dict[str, list[str]]:
    """Return the names of what the rule registered on each layer, by the layer's name, as it is after ``attach``."""
    return {
        layer.name: [
            name for name, p in layer.named_parameters(recurse=False) if not p.requires_grad and name not in OWN
        ]
        for layer in layers
    }


def exclude_from_autograd(layers: Iterable[FeedbackLayer], names: Mapping[str, Sequence[str]]) -> None:
    """Undo what ``model.requires_grad_(True)`` does to B, and drop a gradient that B received meanwhile.

    It is how a frozen model is trained again. B would then learn from a penalty on all trained parameters.
    """
    for layer in layers:
        for name in names[layer.name]:
            state = layer.get_parameter(name)
            if state.requires_grad:
                state.requires_grad_(False)
                state.grad = None
