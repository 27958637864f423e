"""Checks that an optimizer gives B the updates of W, as a rule requires whose B learns from W's gradient."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.optim import LBFGS, Adafactor, Optimizer
from torch.utils.weak import TensorWeakRef

from nowt.core.errors import ConfigError
from nowt.rules.base import HALF, HALF_WEIGHT, FeedbackLayer, Rule

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
    if rule.learns_from != "gradient":
        return
    for optimizer in optimizers:
        groups = _groups(optimizer)
        for layer in layers:
            _check_layer(layer, rule, groups)
        if any(id(layer.weight) in groups for layer in layers):
            _check_kind(rule, optimizer)


def warn_of_other_updates(layers: Sequence[FeedbackLayer], rule: Rule, optimizers: Sequence[Optimizer]) -> bool:
    """Warn if an optimizer may update B otherwise than W. Return whether it did."""
    if rule.learns_from != "gradient":
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
        used = [(layer.weight, layer.weight.grad) for layer in layers]
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
        raise ConfigError(HALF_WEIGHT.format(layer=layer.name, rule=rule.name, dtype=layer.weight.dtype))
    if mine is not its and mine and its and _settings(mine) != _settings(its):
        raise ConfigError(
            f"the optimizer treats W and B of layer {layer.name} differently ({_difference(mine, its)}), but "
            f"rule {rule.name} requires the same updates: put layer.weight and layer.feedback into one "
            "parameter group"
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
