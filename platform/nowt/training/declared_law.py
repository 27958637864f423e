"""The law of Kolen-Pollack, held against the true W − B of a step: B is updated exactly as W is."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer

OTHER_CHANGES = ("observe", "observe_error", "observe_gradient", "observe_mirror", "observe_weight", "after_step")

ALLOWED = {torch.float64: 1e-12, torch.float32: 1e-5}  # of W − B, relative to W and B


def declares_law(rule: Rule) -> bool:
    """Return whether B changes by the updates of W and by nothing else, as the rule declares it."""
    return rule.update == "with_weight" and not any(overrides(rule, name) for name in OTHER_CHANGES)


@torch.no_grad()
def law_deviations(layers: Sequence[FeedbackLayer], expected: Mapping[Tensor, Tensor]) -> dict[str, float]:
    """Return, by layer, how far W − B after a step is from what the optimizer makes of W and B before it.

    It is relative to the norms of W and B, and divided by what is allowed: above 1, the law does not hold. ``expected``
    has W and B as they should be, by parameter.
    """
    return {
        layer.name: _deviation(layer.weight, layer.feedback, expected[layer.weight], expected[layer.feedback])
        for layer in layers
        if layer.weight in expected and layer.feedback in expected
    }


def _deviation(weight: Tensor, feedback: Tensor, *expected: Tensor) -> float:
    wanted, found = (w.double() - b.double() for w, b in (expected, (weight, feedback)))
    size = weight.double().norm() + feedback.double().norm()
    return float((found - wanted).norm() / size) / ALLOWED[weight.dtype]
