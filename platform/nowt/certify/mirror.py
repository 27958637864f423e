"""Mirror mode's laws: where B goes, how fast, and which angle sampling leaves (science.md 6.3)."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nowt.alignment import angle
from nowt.certify.bench import has_field, why_no_matrix
from nowt.certify.certificate import Check, Findings, LeftOut
from nowt.layers import Conv2d, FeedbackLayer, attach
from nowt.rules.rule import Moment, Rule
from nowt.streams import generator

FIELDS = ("eta", "decay", "noise", "sigma", "receiver_noise", "through", "normalize", "samples", "extent", "interval")
KURTOSIS = {"normal": 3.0, "uniform": 1.8, "sign": 1.0}
MOST_POSITIONS = 400_000  # of all mirror steps together, so that a certificate takes seconds


@dataclass(frozen=True)
class Mirrored:
    """What ``steps`` mirror steps made of one layer's B, beside what the law says they should."""

    layer: FeedbackLayer
    before: Tensor
    moved: Tensor  # B − (1 − λ)^t B₀
    expected: Tensor  # the mean of ``moved``
    samples: float  # N_eff; infinite where nothing is left to chance


def check_mirror(rule: Rule) -> Findings:
    """Two rows for weight mirror's fields; one for another rule that mirrors; left out for the rest."""
    why = why_no_matrix(rule) or ("" if rule.learns_from == "mirror" else "B does not learn from a mirror mode")
    if why:
        yield from (LeftOut(name, why) for name in ("mirror gain", "mirror angle"))
    elif has_field(rule, *FIELDS):
        dense, conv = (_mirror(rule, layer) for layer in _layers(replace(rule, interval=1)))  # type: ignore[call-arg]
        yield _gain(rule, dense, conv)
        yield _angle(rule, dense)
    else:
        yield LeftOut(
            "mirror gain", f"its fields are not weight mirror's ({', '.join(FIELDS)}), so no gain is promised"
        )
        yield _falls(rule)


def _layers(rule: Rule) -> list[FeedbackLayer]:
    """A linear layer (64 to 32) and a padded convolution (4 to 12, 3×3), W normal with variance 1/fan-in."""
    net = nn.ModuleDict({"dense": nn.Linear(64, 32), "conv": nn.Conv2d(4, 12, 3, padding=1), "last": nn.Linear(4, 3)})
    for name in net:
        weight = net.get_parameter(f"{name}.weight")
        nn.init.normal_(weight, std=weight[0].numel() ** -0.5, generator=generator(0, "weights", name))
    layers = attach(net, rule)[:2]
    for layer in layers:
        layer.map_size = (8, 8)
    return layers


def _mirror(rule: Any, layer: FeedbackLayer) -> Mirrored:
    """Mirror steps until B has arrived, or as many as seconds allow."""
    exact = rule.noise == "idealised"
    x = (
        layer.orthonormal_probes(torch.Generator())
        if exact
        else torch.ones(layer.probe_shape(rule.samples, rule.extent))
    )
    steps = max(3, min(round(10 / rule.decay) if rule.decay > 0 else 60, 300, MOST_POSITIONS // layer.positions(x)))
    before = layer.feedback.detach().clone()
    for step in range(1, steps + 1):
        layer.rule.after_step([layer], Moment(step, seed=5))
    kept = [(1 - rule.decay) ** k for k in range(steps)]  # what is left of each step's update
    moved = layer.feedback.detach() - (1 - rule.decay) ** steps * before
    gain = rule.eta * rule.sigma**2 * sum(kept) * (0.5 if _rectified(rule) else 1.0)
    samples = math.inf if exact else layer.positions(x) * sum(kept) ** 2 / sum(k * k for k in kept)
    return Mirrored(layer, before, moved, gain * _weighted(rule, layer, x), samples)


def _weighted(rule: Any, layer: FeedbackLayer, x: Tensor) -> Tensor:
    """W times what one mirror step sums at each tap, over what it is divided by."""
    weight = layer.weight.detach()
    if rule.noise == "idealised":
        return weight * (layer.fan_in if rule.normalize == "none" else 1)
    if rule.normalize == "taps":
        return weight
    counts, positions = torch.full_like(weight, float(len(x))), float(len(x))
    if isinstance(layer, Conv2d):
        one = torch.ones_like(weight).requires_grad_()
        answer = torch.conv2d(torch.ones_like(x), one, padding=1)
        counts = torch.autograd.grad(answer.sum(), one)[0]
        positions = answer[:, 0].numel()
    return weight * counts / (positions if rule.normalize == "positions" else 1)


def _rectified(rule: Any) -> bool:
    """The certified layers have a ReLU above them, which halves the gain (Stein: E[x φ(w·x)] = σ² w E φ')."""
    return bool(rule.through == "nonlinearity")


def _gain(rule: Rule, *found: Mirrored) -> Check:
    errors, bounds = [], []
    for one in found:
        weight = one.layer.weight.detach().flatten(1)
        # the variance of w·x x·w over rows that share their noise
        spread = math.sqrt(2 / one.samples) * float((weight @ weight.t()).norm()) / float(weight.square().sum())
        errors.append(float((one.moved * one.expected).sum() / one.expected.square().sum()) - 1)
        bounds.append(0.01 + 5 * spread * (2 if _rectified(rule) else 1))
    measured = "linear {:+.2%}, convolution {:+.2%}".format(*errors)
    passed = all(abs(error) < bound for error, bound in zip(errors, bounds, strict=True))
    promise = "Mirror mode takes B to its fixed point c·W, c = ησ²/λ (times taps or φ' where the fields say so)"
    return Check("mirror gain", promise, "{:.1%}, {:.1%}".format(*bounds), measured, passed)


def _angle(rule: Any, dense: Mirrored) -> Check:
    """tan² = (fan-in + 1)/N_eff for Gaussian noise through the linear map; other fields change the numerator."""
    weight = dense.layer.weight.detach()
    found = angle(dense.moved, weight)
    promise = "The angle that sampling leaves follows tan = √((fan-in + 1)/N_eff) (linear layer)"
    if math.isinf(dense.samples):
        promise = "Orthonormal probes leave no angle: they read W out exactly, and are labelled idealised"
        return Check("mirror angle", promise, "0.01°", f"{found:.4f}°", found < 0.01)
    kurtosis, fan_in = KURTOSIS[rule.noise], dense.layer.fan_in
    size = float(weight.square().sum(1).mean())  # |w|² of a row
    noise = fan_in * rule.receiver_noise**2 / (rule.sigma**2 * size)
    spread = 2 * fan_in + 2 * kurtosis - 3 + 4 * noise if _rectified(rule) else fan_in + kurtosis - 2 + noise
    law = math.degrees(math.atan(math.sqrt(spread / dense.samples)))
    ratio = math.tan(math.radians(found)) / math.tan(math.radians(law))
    measured = f"{found:.2f}°, the law says {law:.2f}°"
    return Check("mirror angle", promise, "10 % of the tangent", measured, abs(ratio - 1) < 0.1)


def _falls(rule: Rule) -> Check:
    layer = _layers(replace(rule, interval=1) if has_field(rule, "interval") else rule)[0]  # type: ignore[call-arg]
    start = angle(layer.feedback, layer.weight)
    layer.rule.before_learning([layer], Moment(0, seed=5))
    for step in range(1, 301):
        layer.rule.after_step([layer], Moment(step, seed=5))
    end = angle(layer.feedback, layer.weight)
    promise = "With W at rest, mirror mode turns B towards W (linear layer, 300 steps)"
    return Check("mirror angle", promise, "below 45°", f"{start:.1f}° to {end:.1f}°", end < 45)
