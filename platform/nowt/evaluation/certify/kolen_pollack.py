"""The Kolen-Pollack law: W − B shrinks by the optimizer's weight decay alone, whatever the gradients are.

Kolen and Pollack (1994), "Backpropagation without weight transport": W and B get the same update and the same decay, so
(W − B)_t = (1 − ηλ)^t (W − B)_0 for plain SGD. Where B's gradient is ρ times that of W, this holds for ρW − B.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.feedback_updates import trace_changes
from nowt.evaluation.certify.phases import OPTIMIZER
from nowt.evaluation.certify.testbed import OPTIM, Testbed, no_feedback_matrix_reason
from nowt.layers.alignment import angle
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.declared_law import declares_law
from nowt.training.optimizer import parameter_groups

STEPS = 20

BOUND = 1e-10  # relative

DECAYING = replace(OPTIM, weight_decay=0.02, clip=None)

OPTIMIZERS = {
    "SGD": replace(DECAYING, momentum=0.0),
    "momentum": DECAYING,
    "Nesterov": replace(DECAYING, nesterov=True),
    "AdamW": replace(DECAYING, name="adamw", lr=0.01, weight_decay=0.5),
}

FORMS: dict[str, dict[str, bool]] = {"": {"foreach": False}, " foreach": {"foreach": True}, " fused": {"fused": True}}


@dataclass(frozen=True)
class DecayRun:
    """The difference ρW − B of every layer before and after training, in float64."""

    before: list[Tensor]
    after: list[Tensor]
    sizes: list[float]  # initial |W|
    weights: list[Tensor]  # final W
    angles: tuple[float, float]  # of the last layer, before and after


def check_decay_law(rule: Rule) -> CheckResults:
    """Yield four checks; they are skipped for a rule whose B changes by more than the updates of W at some rate ρ."""
    names = ("decay", "no decay", "clipping", "forms")
    reason = no_feedback_matrix_reason(rule) or _other_update(rule)
    if reason:
        yield from (SkippedCheck(name, reason) for name in names)
        return
    yield _decay(rule)
    yield _no_decay(rule)
    yield _clipping(rule)
    yield _forms(rule)


def _other_update(rule: Rule) -> str:
    if rule.update != "with_weight":
        return "B does not get the updates of W"
    if declares_law(rule) or set(trace_changes(rule)[0]) <= {OPTIMIZER}:
        return ""
    return "B gets other updates beside those of W"


def decay_factor(config: OptimConfig, steps: int) -> float:
    """Return the factor by which W − B shrinks in ``steps`` steps at a constant learning rate.

    For plain SGD and AdamW it is (1 − ηλ)^t. For momentum and Nesterov it follows a second-order recurrence.
    """
    decay, mu = config.lr * config.weight_decay, config.momentum
    if config.name == "adamw":
        return float((1 - decay) ** steps)
    if config.nesterov:
        first, trace, product = 1 - decay * (1 + mu), 1 + mu - decay * (1 + mu), mu * (1 - decay)
    else:
        first, trace, product = 1 - decay, 1 + mu - decay, mu
    before, now = 1.0, first
    for _ in range(steps - 1):
        before, now = now, trace * now - product * before
    return now


def _decay(rule: Rule) -> Check:
    runs = {name: (_train(rule, config, form), config) for name, config, form in _variants(rule)}
    errors = {name: _error(run, decay_factor(config, STEPS)) for name, (run, config) in runs.items()}
    name = max(errors, key=lambda key: errors[key])
    promise = (
        f"{_difference(rule)} shrinks by exactly the optimizer's decay ({STEPS} steps with real gradients, float64)"
    )
    note = ", ".join(errors)
    return Check("decay", promise, f"{BOUND:g} relative", f"{errors[name]:.1e} ({name})", errors[name] < BOUND, note)


def _no_decay(rule: Rule) -> Check:
    run = _train(rule, replace(DECAYING, weight_decay=0.0), FORMS[""])
    error = _error(run, 1.0)
    note = "the angle may still change, because |W| does: {:.1f}° to {:.1f}° in the last layer".format(*run.angles)
    promise = f"Without weight decay, {_difference(rule)} does not change"
    return Check("no decay", promise, f"{BOUND:g} relative", f"{error:.1e}", error < BOUND, note)


def _clipping(rule: Rule) -> Check:
    """Check that gradient clipping does not change W − B."""
    clipped, free = (_train(rule, replace(DECAYING, clip=norm), FORMS[""]) for norm in (0.1, None))
    error = _error(replace(clipped, before=free.after), 1.0)
    promise = f"Clipping scales the updates of W and B by the same factor: {_difference(rule)} is the same without it"
    return Check("clipping", promise, f"{BOUND:g} relative", f"{error:.1e}", error < BOUND)


def _forms(rule: Rule) -> Check:
    """Check that the plain, foreach and fused forms of each optimizer give the same W. Nesterov's foreach form changes
    gradients in place, so both updates are wrong if B shares the gradient of W."""
    worst = 0.0
    for config in OPTIMIZERS.values():
        free = replace(config, weight_decay=0.0)
        plain, *others = (_train(rule, free, form, 5).weights for form in FORMS.values())
        for other in others:
            worst = max(worst, *(float((a - b).norm() / a.norm()) for a, b in zip(plain, other, strict=True)))
    promise = "The plain, foreach and fused forms of each optimizer train W the same way"
    return Check("forms", promise, "1e-08 relative", f"{worst:.1e}", worst < 1e-8)


def _difference(rule: Rule) -> str:
    return "W − B" if rule.rate() == 1 else f"{rule.rate():g} W − B"


def _variants(rule: Rule) -> Iterator[tuple[str, OptimConfig, dict[str, bool]]]:
    for name, config in OPTIMIZERS.items():
        if config.name == "adamw" and rule.rate() != 1:
            continue  # AdamW divides the rate out again, but for rounding and its ε
        for suffix, form in FORMS.items():
            yield name + suffix, config, form


def _train(rule: Rule, config: OptimConfig, form: dict[str, bool], steps: int = STEPS) -> DecayRun:
    def optimizer(model: nn.Module, layers: list[FeedbackLayer]) -> torch.optim.Optimizer:
        groups = parameter_groups(config, model, layers)
        settings: dict[str, Any] = {"lr": config.lr, **form}
        if config.name == "adamw":
            return torch.optim.AdamW(groups, **settings)
        return torch.optim.SGD(groups, momentum=config.momentum, nesterov=config.nesterov, **settings)

    testbed = Testbed.build(rule, optim=config, optimizer=optimizer, dtype=torch.float64)
    before, initial_angle = _differences(testbed), _last_angle(testbed)
    sizes = [float(layer.weight.detach().norm()) for layer in testbed.layers]
    for number in range(1, steps + 1):
        testbed.step(number)
    weights = [layer.weight.detach() for layer in testbed.layers]
    return DecayRun(before, _differences(testbed), sizes, weights, (initial_angle, _last_angle(testbed)))


def _differences(testbed: Testbed) -> list[Tensor]:
    return [(testbed.rule.rate() * layer.weight - layer.feedback).detach() for layer in testbed.layers]


def _last_angle(testbed: Testbed) -> float:
    return angle(testbed.layers[-1].feedback, testbed.layers[-1].weight)


def _error(run: DecayRun, factor: float) -> float:
    """Return the worst layer's distance from the law, relative to the expected |W − B| (to |W| where that is 0)."""
    layers = zip(run.before, run.after, run.sizes, strict=True)
    return max(
        float((after - factor * before).norm()) / (abs(factor) * float(before.norm()) or size)
        for before, after, size in layers
    )
