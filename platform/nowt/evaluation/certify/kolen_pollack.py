"""Kolen-Pollack's law: whatever the gradients, W − B shrinks by the optimiser's decay alone (science.md 6.2)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import OPTIM, Testbed, why_no_matrix
from nowt.rules.base import FeedbackLayer, Rule
from nowt.training.alignment import angle
from nowt.training.optimizer import parameter_groups

STEPS = 20

BOUND = 1e-10

DECAYING = replace(OPTIM, weight_decay=0.02, clip=None)

OPTIMISERS = {
    "SGD": replace(DECAYING, momentum=0.0),
    "momentum": DECAYING,
    "Nesterov": replace(DECAYING, nesterov=True),
    "AdamW": replace(DECAYING, name="adamw", lr=0.01, weight_decay=0.5),
}

FORMS: dict[str, dict[str, bool]] = {"": {"foreach": False}, " foreach": {"foreach": True}, " fused": {"fused": True}}


@dataclass(frozen=True)
class Run:
    """W − B of every layer before and after ``STEPS`` steps, float64."""

    before: list[Tensor]
    after: list[Tensor]
    sizes: list[float]  # |W| at the start
    weights: list[Tensor]  # W at the end
    angles: tuple[float, float]  # of the last layer, before and after


def check_law(rule: Rule) -> Findings:
    """Four rows for a rule whose B learns from the gradient; left out for others."""
    names = ("decay", "no decay", "clipping", "forms")
    why = why_no_matrix(rule) or ("" if rule.learns_from == "gradient" else "B does not learn from the gradient")
    if why:
        yield from (LeftOut(name, why) for name in names)
        return
    yield _decay(rule)
    yield _no_decay(rule)
    yield _clipping(rule)
    yield _forms(rule)


def shrink(config: OptimConfig, steps: int) -> float:
    """The factor by which W − B shrinks in ``steps`` steps at a constant rate.

    Plain SGD and AdamW: (1 − ηλ)^t. Momentum and Nesterov: a recurrence of second order.
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
    worst = {name: _error(_run(rule, config, form), shrink(config, STEPS)) for name, config, form in _variants()}
    name = max(worst, key=lambda key: worst[key])
    promise = f"W − B shrinks by exactly the optimiser's decay ({STEPS} steps with real gradients, float64)"
    note = ", ".join(worst)
    return Check("decay", promise, f"{BOUND:g} relative", f"{worst[name]:.1e} ({name})", worst[name] < BOUND, note)


def _no_decay(rule: Rule) -> Check:
    run = _run(rule, replace(DECAYING, weight_decay=0.0), FORMS[""])
    error = _error(run, 1.0)
    note = "the angle may still change, as |W| does: {:.1f}° to {:.1f}° here, last layer".format(*run.angles)
    return Check(
        "no decay", "Without decay W − B stays as it is", f"{BOUND:g} relative", f"{error:.1e}", error < BOUND, note
    )


def _clipping(rule: Rule) -> Check:
    """W − B does not depend on gradients, so clipping them must not change it."""
    clipped, free = (_run(rule, replace(DECAYING, clip=norm), FORMS[""]) for norm in (0.1, None))
    error = _error(replace(clipped, before=free.after), 1.0)
    promise = "Clipping scales the updates of W and B alike: W − B is what it is without"
    return Check("clipping", promise, f"{BOUND:g} relative", f"{error:.1e}", error < BOUND)


def _forms(rule: Rule) -> Check:
    """The foreach form of Nesterov writes to the gradients it is given: a B that shares W's spoils both."""
    worst, pairs = 0.0, [(config, form) for config in OPTIMISERS.values() for form in list(FORMS.values())[1:]]
    for config, form in pairs:
        free = replace(config, weight_decay=0.0)
        plain, other = _run(rule, free, FORMS[""], 5).weights, _run(rule, free, form, 5).weights
        worst = max(worst, *(float((a - b).norm() / a.norm()) for a, b in zip(plain, other, strict=True)))
    promise = "W is trained alike by the plain, foreach and fused form of each optimiser, B in its group or not"
    return Check("forms", promise, "1e-08 relative", f"{worst:.1e}", worst < 1e-8)


def _variants() -> Iterator[tuple[str, OptimConfig, dict[str, bool]]]:
    for name, config in OPTIMISERS.items():
        for suffix, form in FORMS.items():
            yield name + suffix, config, form


def _run(rule: Rule, config: OptimConfig, form: dict[str, bool], steps: int = STEPS) -> Run:
    def optimizer(model: nn.Module, layers: list[FeedbackLayer]) -> torch.optim.Optimizer:
        groups = parameter_groups(config, model, layers)
        settings: dict[str, Any] = {"lr": config.lr, **form}
        if config.name == "adamw":
            return torch.optim.AdamW(groups, **settings)
        return torch.optim.SGD(groups, momentum=config.momentum, nesterov=config.nesterov, **settings)

    bench = Testbed.build(rule, optim=config, optimizer=optimizer, dtype=torch.float64)
    before, start, sizes = _gap(bench), _angle(bench), [float(layer.weight.detach().norm()) for layer in bench.layers]
    for number in range(1, steps + 1):
        bench.step(number)
    weights = [layer.weight.detach() for layer in bench.layers]
    return Run(before, _gap(bench), sizes, weights, (start, _angle(bench)))


def _gap(bench: Testbed) -> list[Tensor]:
    return [(layer.weight - layer.feedback).detach() for layer in bench.layers]


def _angle(bench: Testbed) -> float:
    return angle(bench.layers[-1].feedback, bench.layers[-1].weight)


def _error(run: Run, factor: float) -> float:
    """The worst layer's distance from the law, relative to the law's W − B (to |W| where that starts at 0)."""
    pairs = zip(run.before, run.after, run.sizes, strict=True)
    return max(
        float((after - factor * before).norm()) / (abs(factor) * float(before.norm()) or size)
        for before, after, size in pairs
    )
