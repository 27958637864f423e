"""The laws of mirror mode: the limit of B, its rate of convergence, and the angle that sampling noise leaves.

Akrout et al. (2019), "Deep learning without weight transport": with noise x of variance σ² through y = W x, the update
B ← (1 − λ) B + η y xᵀ converges to c W with c = ησ²/λ.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.testbed import has_fields, no_feedback_matrix_reason, steady_schedule
from nowt.layers.alignment import angle
from nowt.layers.attach import attach
from nowt.layers.conv import Conv2d
from nowt.layers.rule_steps import RuleSteps
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_control import MirrorSettings, layer_settings
from nowt.rules.moment import Moment

FIELDS = ("eta", "decay", "noise", "sigma", "receiver_noise", "through", "normalize", "samples", "extent", "interval")

KURTOSIS = {"normal": 3.0, "uniform": 1.8, "sign": 1.0}

MAX_POSITIONS, MAX_STEPS = 400_000, 1000  # over all mirror steps, so that a certificate takes seconds


@dataclass(frozen=True)
class MirrorResult:
    """The change in one layer's B over several mirror steps, and the change that the law predicts."""

    layer: FeedbackLayer
    moved: Tensor  # B − (1 − λ)^t B₀, the mean over several runs
    expected: Tensor  # the expectation of ``moved``
    samples: float  # N_eff, over all runs
    scatter: float  # relative standard deviation of the gain; an upper bound under a nonlinearity


def check_mirror(rule: Rule) -> CheckResults:
    """Yield two checks for a rule with weight mirror's fields, and one for any other rule that uses mirror mode."""
    learns = "" if rule.learns_from == "mirror" else "B does not learn in mirror mode"
    reason = no_feedback_matrix_reason(rule) or learns or _uncovered_reason(rule)
    if reason:
        yield from (SkippedCheck(name, reason) for name in ("mirror gain", "mirror angle"))
    elif has_fields(rule, *FIELDS):
        dense, conv = (_mirror(layer.rule, layer) for layer in _mirrored_layers(rule))
        yield _gain(dense, conv)
        yield _angle(dense.layer.rule, dense)
    else:
        reason = f"the law of the gain needs the fields of weight mirror ({', '.join(FIELDS)})"
        yield SkippedCheck("mirror gain", reason)
        yield _angle_decreases(rule)


def _layers(rule: Rule) -> list[FeedbackLayer]:
    """Return a linear layer (64 to 32) and a padded convolution (4 to 12, 3×3), W normal with variance 1/fan-in.

    Biases are 0: the laws are those of the noise, and a rule may add biases to the response.
    """
    net = _network()
    for name in net:
        weight = net.get_parameter(f"{name}.weight")
        nn.init.normal_(weight, std=weight[0].numel() ** -0.5, generator=generator(0, "weights", name))
        nn.init.zeros_(net.get_parameter(f"{name}.bias"))
    layers = [layer for layer in attach(net, rule, quiet=True) if layer.name != "last"]
    for layer in layers:
        layer.map_size = (8, 8)
    return layers


def _uncovered_reason(rule: Rule) -> str:
    covered = rule.covers("dense", False) and rule.covers("conv", False)
    return "" if covered else "the rule does not cover both layers of the network of this check (dense, conv)"


def _network() -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(64, 32), "conv": nn.Conv2d(4, 12, 3, padding=1), "last": nn.Linear(4, 3)})


def _mirrored_layers(rule: Any) -> list[FeedbackLayer]:
    """Return the layers, each with a rule that does a mirror step after every training step and at no other time, with
    the settings by which ``rule`` meets its target angle, if it has one."""
    layers = _layers(rule)
    if getattr(rule, "target_angle", None) is not None:
        chosen = layer_settings(rule.target_angle, layers, steady_schedule(rule))
        rules = [_with_settings(rule, each) for each in chosen]
    else:
        rules = [_without_bursts(rule)] * len(layers)
    for layer, each in zip(layers, rules, strict=True):
        layer.rule = replace(each, interval=1)
    return layers


def _with_settings(rule: Any, chosen: MirrorSettings) -> Any:
    """Return the weight mirror that has these settings, for one layer."""
    given: dict[str, Any] = {"samples": chosen.samples, "extent": chosen.extent}
    return replace(rule, target_angle=None, eta=chosen.decay, decay=chosen.decay, **given)


def _without_bursts(rule: Any) -> Any:
    return replace(rule, burst=0, burst_epochs=1) if has_fields(rule, "burst", "burst_epochs") else rule


def _mirror(rule: Any, layer: FeedbackLayer) -> MirrorResult:
    """Run mirror steps until B has converged, within the limits; repeat if that takes few steps."""
    exact = rule.noise == "idealised"
    layer = layer.double() if exact else layer  # only rounding errors remain
    shape = layer.geometry.probe_shape(rule.samples, rule.extent)
    x = layer.geometry.orthonormal_probes(layer.weight, torch.Generator()) if exact else layer.weight.new_ones(shape)
    max_steps = MAX_POSITIONS // layer.geometry.positions(x)
    steps = max(3, min(round(10 / rule.decay) if rule.decay > 0 else 60, 300, max_steps))
    runs = max(1, min(max_steps, MAX_STEPS) // steps)
    moved = torch.stack([_run(rule, layer, steps, seed) for seed in range(runs)]).mean(0)
    remaining = [(1 - rule.decay) ** k for k in range(steps)]  # fraction of each step's update that remains
    gain = rule.eta * rule.sigma**2 * sum(remaining) * (0.5 if _rectified(rule) else 1.0)
    samples = runs * layer.geometry.positions(x) * sum(remaining) ** 2 / sum(k * k for k in remaining)
    return MirrorResult(layer, moved, gain * _tap_sum(rule, layer, x), samples, _scatter(rule, layer, samples))


def _run(rule: Any, layer: FeedbackLayer, steps: int, seed: int) -> Tensor:
    before = layer.feedback.detach().clone()
    for step in range(1, steps + 1):
        RuleSteps(layer.rule, [layer]).after_step(Moment(step, seed))
    moved: Tensor = layer.feedback.detach() - (1 - rule.decay) ** steps * before
    layer.feedback.data.copy_(before)
    return moved


def _tap_sum(rule: Any, layer: FeedbackLayer, x: Tensor) -> Tensor:
    """Return W times the number of terms that one mirror step sums at each tap, divided by the rule's normalizer."""
    weight = layer.weight.detach()
    if rule.noise == "idealised":
        return weight * (layer.fan_in if rule.normalize == "none" else 1)
    counts = torch.full_like(weight, float(len(x)))
    if isinstance(layer, Conv2d):  # counted by autograd, independently of the layer; padding hides some taps
        one = torch.ones_like(weight).requires_grad_()
        response = torch.conv2d(torch.ones_like(x), one, padding=1)
        counts = torch.autograd.grad(response.sum(), one)[0]
    over = {"none": torch.ones(()), "positions": torch.tensor(layer.geometry.positions(x)), "taps": counts.clamp(min=1)}
    return weight * counts / over[rule.normalize]


def _rectified(rule: Any) -> bool:
    """Return whether noise passes a ReLU, which halves the gain (Stein: E[x φ(w·x)] = σ² w E φ')."""
    return bool(rule.through == "nonlinearity")


def _scatter(rule: Any, layer: FeedbackLayer, samples: float) -> float:
    """Return the relative deviation of the gain by chance: from the noise x, which the rows of W share, and the
    receiver noise."""
    weight = layer.weight.detach().flatten(1)
    size = float(weight.square().sum())
    shared = 0.0 if _exact(rule) else 2 * float((weight @ weight.t()).square().sum()) / size**2
    variance = (shared + (rule.receiver_noise / rule.sigma) ** 2 / size) / samples
    return math.sqrt(variance) * (2 if _rectified(rule) else 1)


def _exact(rule: Any) -> bool:
    return bool(rule.noise == "idealised") and not _rectified(rule)


def _spread(rule: Any, layer: FeedbackLayer) -> float:
    """Return N_eff tan²: fan-in + 1 for Gaussian noise through the linear map; other settings change it.

    A row's estimate varies by Σ_j Var(y x_j), divided by |w|² and the squared gain; κ is the noise's kurtosis.
    """
    fan_in, rectified = layer.fan_in, _rectified(rule)
    size = float(layer.weight.detach().square().sum(1).mean())  # |w|² of a row
    receiver = float(fan_in * (rule.receiver_noise / rule.sigma) ** 2 / size)
    if _exact(rule):
        return receiver
    kurtosis = KURTOSIS[rule.noise]
    return 2 * fan_in + 2 * kurtosis - 3 + 4 * receiver if rectified else fan_in + kurtosis - 2 + receiver


def _gain(*results: MirrorResult) -> Check:
    errors = [float((r.moved * r.expected).sum() / r.expected.square().sum()) - 1 for r in results]
    bounds = [0.01 + 6 * result.scatter for result in results]
    measured = "linear {:+.2%}, convolution {:+.2%}".format(*errors)
    passed = all(abs(error) < bound for error, bound in zip(errors, bounds, strict=True))
    promise = "Mirror mode converges to B = c·W with c = ησ²/λ (times taps or φ', depending on the fields)"
    return Check("mirror gain", promise, "{:.1%}, {:.1%}".format(*bounds), measured, passed)


def _angle(rule: Any, dense: MirrorResult) -> Check | SkippedCheck:
    if rule.noise == "idealised" and not _exact(rule):
        return SkippedCheck("mirror angle", "no law is known for orthonormal probes through a nonlinearity")
    found, spread = angle(dense.moved, dense.layer.weight), _spread(rule, dense.layer)
    if spread == 0:
        promise = "Orthonormal probes leave no angle: they read W exactly, and the rule declares them as idealised"
        return Check("mirror angle", promise, "0.01°", f"{found:.4f}°", found < 0.01)
    law = math.degrees(math.atan(math.sqrt(spread / dense.samples)))
    # the cotangent is continuous at 90°
    ratio = math.tan(math.radians(law)) / math.tan(math.radians(found))
    bound = 0.1 + 6 * dense.scatter + 2 / math.sqrt(dense.samples)
    promise = "Sampling leaves an angle of tan = √((fan-in + 1)/N_eff) (linear layer; the fields change the numerator)"
    measured = f"{found:.2f}°, expected {law:.2f}°"
    return Check("mirror angle", promise, f"{bound:.0%} of the cotangent", measured, abs(ratio - 1) < bound)


def _angle_decreases(rule: Rule) -> Check:
    rule = _without_bursts(rule)
    every_step = replace(rule, interval=1) if has_fields(rule, "interval") else rule  # type: ignore[call-arg]
    layer = _layers(every_step)[0]
    before = angle(layer.feedback, layer.weight)
    RuleSteps(layer.rule, [layer]).before_learning(Moment(0, seed=5))
    for step in range(1, 301):
        RuleSteps(layer.rule, [layer]).after_step(Moment(step, seed=5))
    after = angle(layer.feedback, layer.weight)
    promise = "With W constant, mirror mode aligns B with W (linear layer, 300 steps)"
    return Check("mirror angle", promise, "below 45°", f"{before:.1f}° to {after:.1f}°", after < 45)
