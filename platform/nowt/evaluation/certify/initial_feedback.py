"""The initial B: its angle to W, and random streams that depend on nothing but seed and layer.

For sign-symmetry, cos(angle) = E|w|/sd(w) · E|m|/rms(m) with magnitudes m; an independent draw of n weights is at
90° ± 57.3°/√n.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowt.core.formatting import first_few
from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.testbed import (
    Testbed,
    changed,
    clones,
    has_fields,
    no_feedback_matrix_reason,
    sample_steps,
    uncovered_reason,
)
from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.views import feedback_of, registered_state
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

SIZE = (250, 400)  # (outputs, inputs) of the layer whose angle is measured: n = 100,000 weights


def _normal(w: Tensor, stream: torch.Generator) -> None:
    nn.init.normal_(w, std=0.05, generator=stream)


def _uniform(w: Tensor, stream: torch.Generator) -> None:
    nn.init.uniform_(w, -0.05, 0.05, generator=stream)


def _truncated(w: Tensor, stream: torch.Generator) -> None:
    nn.init.trunc_normal_(w, std=0.05, a=-0.1, b=0.1, generator=stream)


# distributions of W, each with E|w|/sd(w)
DISTRIBUTIONS: dict[str, tuple[Callable[[Tensor, torch.Generator], None], float]] = {
    "normal": (_normal, math.sqrt(2 / math.pi)),
    "uniform": (_uniform, math.sqrt(3) / 2),
    "truncated normal": (_truncated, 0.821702),  # cut at ±2 sd: (1 − e⁻²)·√(2/π)/0.9545 over 0.87963
}


def check_initial_feedback(rule: Rule) -> CheckResults:
    """Yield checks of the initial angle, of the same seed, and of another seed."""
    yield _initial_angles(rule)
    yield _same_seed(rule)
    yield _other_seed(rule)


def expected_angle(rule: Rule, mean_size: float) -> float | None:
    """Return the initial degrees between B and W, or None if no law states it. ``mean_size`` is E|w|/sd(w)."""
    if rule.transports == "sign":
        sizes = {"constant": 1.0, "fixed": mean_size, "redrawn": math.sqrt(3) / 2}
        size = sizes.get(getattr(rule, "magnitudes", ""))
        return None if size is None else math.degrees(math.acos(mean_size * size))
    if rule.transports == "weight":
        return 0.0 if rule.learns_from == "weight" else None
    declared = rule.initialization()
    if declared is None:
        return None
    return 90.0 if declared.angle is None else declared.angle


def _initial_angles(rule: Rule) -> Check | SkippedCheck:
    reason = no_feedback_matrix_reason(rule) or uncovered_reason(rule, _large_layer())
    expected = {name: expected_angle(rule, size) for name, (_, size) in DISTRIBUTIONS.items()}
    if reason or None in expected.values():
        return SkippedCheck("start angle", reason or "no law states the initial angle between its B and W")
    found = {name: _initial_angle(rule, draw) for name, (draw, _) in DISTRIBUTIONS.items()}
    bound = _angle_bound(rule)
    passed = all(abs(found[name] - (degrees or 0.0)) < bound for name, degrees in expected.items())
    texts = [f"{degrees:.2f}°" for degrees in expected.values()]
    law = texts[0] if len(set(texts)) == 1 else ", ".join(texts)
    measured = ", ".join(f"{found[name]:.2f}° ({name} W)" for name in found)
    promise = "The initial angle between B and W is the one that B's distribution implies"
    return Check("start angle", promise, f"{law} ± {bound:g}°", measured, passed)


def _angle_bound(rule: Rule) -> float:
    if getattr(rule, "angle", None) is not None or rule.transports == "weight":
        return 0.001
    # five standard deviations of an independent draw, 57.3°/√n
    return round(5 * 57.3 / math.sqrt(SIZE[0] * SIZE[1]), 2)


def _initial_angle(rule: Rule, draw: Callable[[Tensor, torch.Generator], None]) -> float:
    net = _large_layer()
    draw(net.get_parameter("layer.weight"), generator(0, "certificate", "start"))
    (first, *_) = attach(net, rule)
    return angle(feedback_of(first), first.weight)


def _large_layer() -> nn.ModuleDict:
    outputs, inputs = SIZE
    return nn.ModuleDict({"layer": nn.Linear(inputs, outputs), "last": nn.Linear(4, 3)})


def _same_seed(rule: Rule) -> Check | SkippedCheck:
    """Compare B, W and all other state after a short training under two states of torch's global generator."""
    runs = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            testbed = Testbed.build(rule, seed=3)
            torch.manual_seed(state)
            runs.append(_history(Testbed.build(rule, seed=3)))
    if not testbed.layers:
        return SkippedCheck("same seed", no_feedback_matrix_reason(rule))
    wrong = changed(*runs)
    measured = f"differs: {first_few(wrong)}" if wrong else f"{len(runs[0])} tensors equal"
    promise = "The same seed gives the same B and W, initially and in training, regardless of other random draws"
    return Check("same seed", promise, "bit for bit", measured, not wrong)


def _history(testbed: Testbed) -> dict[str, Tensor]:
    initial = {f"initial {name}": value for name, value in clones(testbed.rule_state()).items()}
    testbed.begin()
    for number in sample_steps(testbed.rule)[1:3]:
        testbed.step(number)
    return initial | clones(testbed.network_state()) | clones(testbed.rule_state())


def _other_seed(rule: Rule) -> Check | SkippedCheck:
    """Compare four draws: the B of two layers with equal shape and W, under two seeds. A rule whose error does not pass
    through a matrix of W's shape may register other tensors: one of them must differ."""
    reason = uncovered_reason(rule, _two_layers())
    if not Testbed.build(rule).layers or reason or not _is_random(rule):
        reason = reason or no_feedback_matrix_reason(rule) or "its initial B is not a random draw"
        return SkippedCheck("other seed", reason)
    draws = {f"{layer.name}, seed {seed}": _drawn(layer) for seed in (0, 1) for layer in _two_equal_layers(rule, seed)}
    names = list(draws)
    same = [f"{a} = {b}" for i, a in enumerate(names) for b in names[:i] if not changed(draws[a], draws[b])]
    promise = "Another seed gives another B, and so does another layer"
    return Check("other seed", promise, "no two equal", "; ".join(same) or "4 of 4 draws differ", not same)


def _two_equal_layers(rule: Rule, seed: int) -> list[FeedbackLayer]:
    """Attach the rule to two layers with equal shape and W."""
    net = _two_layers()
    for name in ("one", "two"):
        _normal(net.get_parameter(f"{name}.weight"), generator(0, "certificate", "twins"))
    return attach(net, rule, seed)[:2]


def _two_layers() -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(30, 20) for name in ("one", "two")} | {"last": nn.Linear(4, 3)})


def _is_random(rule: Rule) -> bool:
    """Return whether the initial B is drawn at random, at least in part."""
    values = list(_drawn(_two_equal_layers(rule, 0)[0]).values())
    if rule.transports == "sign":
        values = [value.abs() for value in values]  # the signs are those of W
    determined = has_fields(rule, "angle") and getattr(rule, "angle", None) in (0, 180)
    return rule.transports != "weight" and not determined and any(bool(each.max() > each.min()) for each in values)


def _drawn(layer: FeedbackLayer) -> dict[str, Tensor]:
    """Return B; of a rule without a matrix of W's shape, all that it registered."""
    state = {name: tensor.detach() for name, tensor in registered_state(layer).items() if tensor.numel()}
    matrix = state.get("feedback")
    return {"feedback": matrix} if matrix is not None and matrix.shape == layer.weight.shape else state
