"""Checks that an optimizer trains W, and gives B the updates of W if the rule's B learns from W's gradient."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import LBFGS, Adafactor, Optimizer
from torch.utils.weak import TensorWeakRef

from nowt.core.errors import ConfigError
from nowt.layers.layer_checks import HALF, half_weight
from nowt.layers.step_reminder import parameters_of
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

REFUSED = {
    Adafactor: "scales each update by the size of the weights, which differs between W and B",
    LBFGS: "computes one step for all parameters together, from several gradients",
}

# the update is the same function of the gradients for W and B, minus a multiple of the weights themselves
LINEAR_DECAY = tuple(
    getattr(torch.optim, name) for name in ("SGD", "ASGD", "AdamW", "Muon") if hasattr(torch.optim, name)
)

# without weight decay, the update depends on the gradients alone
GRADIENT_ONLY = tuple(
    getattr(torch.optim, name)
    for name in ("Adam", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Rprop")
)

Groups = dict[int, dict[str, Any]]  # parameter groups, by the id of each of their parameters


def check_optimizers(layers: Sequence[FeedbackLayer], rule: Rule, optimizers: Sequence[Optimizer]) -> None:
    """Raise ConfigError unless each B that learns from the gradient can be updated exactly as its W is."""
    if rule.update != "with_weight":
        return
    for optimizer in optimizers:
        groups = _groups(optimizer)
        for layer in layers:
            _check_layer(layer, rule, groups)
            _check_state(layer, rule, optimizer)
        if any(id(layer.weight) in groups for layer in layers):
            _check_kind(rule, optimizer)


def check_weights(
    layers: Sequence[FeedbackLayer], model: nn.Module, rule: Rule, optimizers: Sequence[Optimizer]
) -> None:
    """Raise ConfigError unless an optimizer holds a weight of ``layers``; of ``model``, if no layer has one to train.

    The optimizer of a copy of the model would train the copy, whose B the rule's steps do not reach.
    """
    held = {id(parameter) for optimizer in optimizers for parameter in parameters_of(optimizer)}
    if not held & (_trained_weights(layers) or {id(p) for p in model.parameters() if p.requires_grad} or held):
        raise ConfigError(_missing_weights(held, model, rule, optimizers))


def warn_of_other_updates(layers: Sequence[FeedbackLayer], rule: Rule, optimizers: Sequence[Optimizer]) -> bool:
    """Warn if an optimizer may update B otherwise than W. Return whether it did."""
    if rule.update != "with_weight":
        return False
    for optimizer in optimizers:
        groups = _groups(optimizer)
        used = [groups[id(layer.weight)] for layer in layers if id(layer.weight) in groups]
        if used and (reason := _doubt(optimizer, used)):
            warnings.warn(
                f"rule {rule.name} forgets the initial difference of W and B only if both receive the same updates, "
                f"but {reason}: use SGD, or an optimizer with decoupled weight decay such as AdamW",
                stacklevel=4,
            )
            return True
    return False


class GradientUse:
    """The gradients that a step has used, to find a second step with the same ones.

    Args:
        optimizers: The optimizers of the step.
        layers: The layers of the rule.
    """

    def __init__(self, optimizers: Sequence[Optimizer] = (), layers: Sequence[FeedbackLayer] = ()) -> None:
        self.optimizers = {id(optimizer) for optimizer in optimizers}
        # a weight that a parametrization computes has no gradient of its own: torch warns of whoever asks for it
        used = [(weight, weight.grad) for layer in layers if (weight := layer.weight).is_leaf]
        self.gradients = [(weight, TensorWeakRef(g), g._version) for weight, g in used if g is not None]

    def check(self, optimizers: Sequence[Optimizer]) -> None:
        """Raise ConfigError if other optimizers use these gradients: then one iteration would count as two steps."""
        if not self.optimizers or self.optimizers & {id(optimizer) for optimizer in optimizers}:
            return
        present = [(weight.grad, ref(), version) for weight, ref, version in self.gradients if weight.grad is not None]
        if present and all(now is before and now._version == version for now, before, version in present):
            raise ConfigError(
                "feedback.step has been called for this iteration with another optimizer, and would count it twice: "
                "call it once, with all optimizers, as feedback.step([a, b])"
            )


def _trained_weights(layers: Sequence[FeedbackLayer]) -> set[int]:
    """Return the ids of each W that is trained, or of the parameters from which a parametrization computes it."""
    named = (item for layer in layers for item in layer.named_parameters())
    return {id(parameter) for name, parameter in named if parameter.requires_grad and name != "bias"}


def _missing_weights(held: set[int], model: nn.Module, rule: Rule, optimizers: Sequence[Optimizer]) -> str:
    kinds = ", ".join(type(optimizer).__name__ for optimizer in optimizers)
    given = f"the given optimizers ({kinds or 'none'}) hold" if len(optimizers) != 1 else f"the optimizer {kinds} holds"
    if any(id(parameter) in held for parameter in model.parameters()):
        return (
            f"{given} no weights of the layers that use rule {rule.name}, only other parameters of the model: call "
            "feedback.step once per iteration with all optimizers, as feedback.step([a, b])"
        )
    return (
        f"{given} no weights of the model to which rule {rule.name} is attached, but perhaps those of a copy: create "
        "the optimizer from the attached model's parameters, copy the model together with its feedback, as "
        "copy.deepcopy((model, feedback)), and reload a model by loading its state_dict after nowt.attach"
    )


def _groups(optimizer: Optimizer) -> Groups:
    return {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}


def _check_layer(layer: FeedbackLayer, rule: Rule, groups: Groups) -> None:
    mine, its = groups.get(id(layer.weight)), groups.get(id(layer.feedback))
    if mine is not None and its is None:
        raise ConfigError(
            f"the optimizer lacks the feedback weights of layer {layer.name}, which rule {rule.name} "
            "learns: create the optimizer after nowt.attach, from model.parameters(), and do not leave out "
            "parameters with requires_grad=False"
        )
    if mine is None and its is not None:
        raise ConfigError(
            f"the optimizer has the feedback weights of layer {layer.name}, but not its weights, so B would "
            "change while W does not: put layer.weight and layer.feedback into one parameter group"
        )
    if mine is not None and layer.weight.dtype in HALF:
        raise ConfigError(half_weight(rule, layer.name, layer.weight.dtype))
    if mine is not its and mine and its and _settings(mine) != _settings(its):
        raise ConfigError(
            f"the optimizer treats W and B of layer {layer.name} differently ({_difference(mine, its)}), but "
            f"rule {rule.name} requires the same updates: put layer.weight and layer.feedback into one "
            "parameter group"
        )


def _check_state(layer: FeedbackLayer, rule: Rule, optimizer: Optimizer) -> None:
    """Raise ConfigError if the optimizer has updated W without B: momentum would then move W and B differently."""
    mine, its = (optimizer.state.get(parameter, {}) for parameter in (layer.weight, layer.feedback))
    if any(isinstance(value, torch.Tensor) for value in mine.values()) and not its:
        raise ConfigError(
            f"the optimizer has updated the weights of layer {layer.name} before without its feedback weights, so its "
            f"momentum would move W and B differently, but rule {rule.name} requires the same updates: create a new "
            "optimizer from model.parameters()"
        )


def _check_kind(rule: Rule, optimizer: Optimizer) -> None:
    reason = next((reason for kind, reason in REFUSED.items() if isinstance(optimizer, kind)), "")
    if reason:
        raise ConfigError(
            f"rule {rule.name} requires the same updates of W and B, but {type(optimizer).__name__} {reason}: use SGD "
            "or AdamW"
        )


def _doubt(optimizer: Optimizer, groups: Iterable[dict[str, Any]]) -> str:
    """Return why W and B may receive different updates; empty if they receive the same ones."""
    name = type(optimizer).__name__
    if isinstance(optimizer, LINEAR_DECAY):
        return ""
    if not isinstance(optimizer, GRADIENT_ONLY):
        return f"nowt does not know how {name} computes an update"
    coupled = [g["weight_decay"] for g in groups if g.get("weight_decay") and not g.get("decoupled_weight_decay")]
    return f"{name} normalizes the weight decay ({coupled[0]}) together with the gradient" if coupled else ""


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "param_names")}


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    name = next(name for name, value in _settings(one).items() if other.get(name) != value)
    return f"{name} is {one[name]} and {other.get(name)}"
