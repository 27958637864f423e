"""How B starts: the angles of science.md 6.4, and random streams that depend on seed and layer alone."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import Testbed, changed, copies, has_field, steps, why_no_matrix
from nowt.layers.attach import attach
from nowt.rules.base import FeedbackLayer, Rule
from nowt.training.alignment import angle

SIZE = (250, 400)  # of the layer whose angle is measured: n = 100,000


def _normal(w: Tensor, stream: torch.Generator) -> None:
    nn.init.normal_(w, std=0.05, generator=stream)


def _uniform(w: Tensor, stream: torch.Generator) -> None:
    nn.init.uniform_(w, -0.05, 0.05, generator=stream)


def _truncated(w: Tensor, stream: torch.Generator) -> None:
    nn.init.trunc_normal_(w, std=0.05, a=-0.1, b=0.1, generator=stream)


# E|w| / sd of each distribution of W, from which every angle of sign-symmetry follows
WEIGHTS: dict[str, tuple[Callable[[Tensor, torch.Generator], None], float]] = {
    "normal": (_normal, math.sqrt(2 / math.pi)),
    "uniform": (_uniform, math.sqrt(3) / 2),
    "truncated normal": (_truncated, 0.821702),  # cut at ±2 sd: (1 − e⁻²)·√(2/π)/0.9545 over 0.87963
}


def check_start(rule: Rule) -> Findings:
    """Rows for the angle at the start, for the same seed and for another."""
    yield _angles(rule)
    yield _same_seed(rule)
    yield _other_seed(rule)


def expected_angle(rule: Rule, mean_size: float) -> float | None:
    """Degrees between B and W at the start, ``mean_size`` being E|w|/sd of W; None where nothing is promised."""
    if rule.transports == "sign":
        sizes = {"constant": 1.0, "fixed": mean_size, "redrawn": math.sqrt(3) / 2}
        size = sizes.get(getattr(rule, "magnitudes", ""))
        return None if size is None else math.degrees(math.acos(mean_size * size))
    if rule.transports == "weight":
        return 0.0 if rule.learns_from == "weight" else None
    wanted = getattr(rule, "angle", None)
    return 90.0 if wanted is None else float(wanted)


def _angles(rule: Rule) -> Check | LeftOut:
    why = why_no_matrix(rule)
    expected = {name: expected_angle(rule, size) for name, (_, size) in WEIGHTS.items()}
    if why or None in expected.values():
        return LeftOut("start angle", why or "no law says at which angle to W its B starts")
    found = {name: _angle_at_start(rule, draw) for name, (draw, _) in WEIGHTS.items()}
    bound = _angle_bound(rule)
    passed = all(abs(found[name] - (wanted or 0.0)) < bound for name, wanted in expected.items())
    laws = [f"{wanted:.2f}°" for wanted in expected.values()]
    measured = ", ".join(f"{found[name]:.2f}° ({name} W)" for name in found)
    law = laws[0] if len(set(laws)) == 1 else ", ".join(laws)
    return Check(
        "start angle", "B starts at the angle to W that its draw implies", f"{law} ± {bound:g}°", measured, passed
    )


def _angle_bound(rule: Rule) -> float:
    if getattr(rule, "angle", None) is not None or rule.transports == "weight":
        return 0.001
    # five standard deviations of an independent draw, 57.3°/√n
    return round(5 * 57.3 / math.sqrt(SIZE[0] * SIZE[1]), 2)


def _angle_at_start(rule: Rule, draw: Callable[[Tensor, torch.Generator], None]) -> float:
    outputs, inputs = SIZE
    layer = nn.Linear(inputs, outputs)
    draw(layer.weight, generator(0, "certificate", "start"))
    (first, *_) = attach(nn.ModuleDict({"layer": layer, "last": nn.Linear(4, 3)}), rule)
    return angle(rule.feedback(first), first.weight)


def _same_seed(rule: Rule) -> Check | LeftOut:
    """Everything the rule keeps, after a short training, under two states of torch's global generator."""
    runs = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            bench = Testbed.build(rule, seed=3)
            torch.manual_seed(state)
            runs.append(_history(Testbed.build(rule, seed=3)))
    if not bench.layers:
        return LeftOut("same seed", why_no_matrix(rule))
    wrong = changed(*runs)
    measured = f"differs: {', '.join(wrong)}" if wrong else f"{len(runs[0])} tensors equal"
    promise = "The same seed gives the same B, at the start and in training, whatever else drew random numbers"
    return Check("same seed", promise, "bit for bit", measured, not wrong)


def _history(bench: Testbed) -> dict[str, Tensor]:
    start = {f"{name} at the start": value for name, value in copies(bench.kept()).items()}
    bench.begin()
    for number in steps(bench.rule)[1:3]:
        bench.step(number)
    return start | copies(bench.kept())


def _other_seed(rule: Rule) -> Check | LeftOut:
    """B of two layers of one shape and one W, under two seeds: four draws."""
    why = why_no_matrix(rule)
    if why or not _draws(rule):
        return LeftOut("other seed", why or "its B at the start is no random draw")
    draws = {f"{layer.name}, seed {seed}": layer.feedback for seed in (0, 1) for layer in _twins(rule, seed)}
    names = list(draws)
    same = [f"{a} = {b}" for i, a in enumerate(names) for b in names[:i] if torch.equal(draws[a], draws[b])]
    measured = "; ".join(same) or "4 of 4 draws differ"
    return Check(
        "other seed", "Another seed gives another B, and so does another layer", "no two alike", measured, not same
    )


def _twins(rule: Rule, seed: int) -> list[FeedbackLayer]:
    net = nn.ModuleDict({name: nn.Linear(30, 20) for name in ("one", "two")} | {"last": nn.Linear(4, 3)})
    for name in ("one", "two"):
        _normal(net.get_parameter(f"{name}.weight"), generator(0, "certificate", "twins"))
    return attach(net, rule, seed)[:2]


def _draws(rule: Rule) -> bool:
    """Whether anything of B's start is left to chance."""
    layer = _twins(rule, 0)[0]
    sizes = layer.feedback.detach().abs()
    placed = has_field(rule, "angle") and getattr(rule, "angle", None) in (0, 180)
    return rule.transports != "weight" and not placed and bool(sizes.max() > sizes.min())
