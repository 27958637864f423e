"""The law of Kolen-Pollack, held against the true W − B of a step: B is updated exactly as W is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.step_snapshot import StepSnapshot

OTHER_CHANGES = ("observe", "observe_error", "observe_gradient", "observe_mirror", "observe_weight", "after_step")

ALLOWED = {torch.float64: 1e-12, torch.float32: 1e-5}  # of W − B, relative to W and B


def declares_law(rule: Rule) -> bool:
    """Return whether B changes by the updates of W and by nothing else, as the rule declares it."""
    return rule.update == "with_weight" and not any(overrides(rule, name) for name in OTHER_CHANGES)


@torch.no_grad()
def law_deviations(
    rule: Rule,
    layers: Sequence[FeedbackLayer],
    optimizer: torch.optim.Optimizer,
    before: StepSnapshot,
    gradients: Mapping[Tensor, Tensor],
) -> dict[str, float]:
    """Return, by layer, how far W − B after a step is from what the optimizer makes of W and B before it.

    It is relative to the norms of W and B, and divided by what is allowed: above 1, the law does not hold.
    ``gradients`` are those that the optimizer used, by parameter.
    """
    groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    return {
        layer.name: _deviation(layer, rule.rate(), gradients[layer.weight], optimizer, groups[layer.weight], before)
        for layer in layers
        if layer.weight in groups and layer.weight in gradients
    }


def _deviation(
    layer: FeedbackLayer,
    rate: float,
    gradient: Tensor,
    optimizer: torch.optim.Optimizer,
    group: dict[str, Any],
    before: StepSnapshot,
) -> float:
    weight, feedback = layer.weight, layer.feedback
    copies = [nn.Parameter(torch.empty_like(one).copy_(before.value(one))) for one in (weight, feedback)]
    again = copy(optimizer)
    again.param_groups, again.state = [{**group, "params": copies}], defaultdict(dict)
    for parameter, one, factor in zip(copies, (weight, feedback), (1.0, rate), strict=True):
        parameter.grad = gradient * factor
        again.state[parameter] = before.optimizer_state(one)
    again.step()
    expected, found = (w.double() - b.double() for w, b in (copies, (weight, feedback)))
    size = weight.double().norm() + feedback.double().norm()
    return float((found - expected).norm() / size) / ALLOWED[weight.dtype]
