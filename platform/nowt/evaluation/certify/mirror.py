"""Mirror mode's laws: where B goes, how fast, and which angle sampling leaves (science.md 6.3)."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import has_field, why_no_matrix
from nowt.layers.attach import attach
from nowt.layers.conv import Conv2d
from nowt.rules.base import FeedbackLayer, Moment, Rule
from nowt.training.alignment import angle

FIELDS = ("eta", "decay", "noise", "sigma", "receiver_noise", "through", "normalize", "samples", "extent", "interval")

KURTOSIS = {"normal": 3.0, "uniform": 1.8, "sign": 1.0}

MOST_POSITIONS, MOST_STEPS = 400_000, 1000  # of all mirror steps together, so that a certificate takes seconds


@dataclass(frozen=True)
class Mirrored:
    """What mirror steps made of one layer's B, beside what the law says they should."""

    layer: FeedbackLayer
    moved: Tensor  # B − (1 − λ)^t B₀, the mean of several runs
    expected: Tensor  # the mean of ``moved``
    samples: float  # N_eff, over all runs
    scatter: float  # standard deviation of the gain, as part of it; an upper bound under a nonlinearity


def check_mirror(rule: Rule) -> Findings:
    """Two rows for weight mirror's fields; one for another rule that mirrors; left out for the rest."""
    why = why_no_matrix(rule) or ("" if rule.learns_from == "mirror" else "B does not learn from a mirror mode")
    if why:
        yield from (LeftOut(name, why) for name in ("mirror gain", "mirror angle"))
    elif has_field(rule, *FIELDS):
        each_step = replace(rule, interval=1)  # type: ignore[call-arg]
        dense, conv = (_mirror(rule, layer) for layer in _layers(each_step))
        yield _gain(dense, conv)
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
    """Mirror steps until B has arrived, or as many as seconds allow; several times where that is soon."""
    exact = rule.noise == "idealised"
    layer = layer.double() if exact else layer  # nothing but rounding is left to see
    shape = layer.probe_shape(rule.samples, rule.extent)
    x = layer.orthonormal_probes(torch.Generator()) if exact else layer.weight.new_ones(shape)
    most = MOST_POSITIONS // layer.positions(x)
    steps = max(3, min(round(10 / rule.decay) if rule.decay > 0 else 60, 300, most))
    runs = max(1, min(most, MOST_STEPS) // steps)
    moved = torch.stack([_run(rule, layer, steps, seed) for seed in range(runs)]).mean(0)
    left = [(1 - rule.decay) ** k for k in range(steps)]  # of each step's update
    gain = rule.eta * rule.sigma**2 * sum(left) * (0.5 if _rectified(rule) else 1.0)
    samples = runs * layer.positions(x) * sum(left) ** 2 / sum(k * k for k in left)
    return Mirrored(layer, moved, gain * _summed(rule, layer, x), samples, _scatter(rule, layer, samples))


def _run(rule: Any, layer: FeedbackLayer, steps: int, seed: int) -> Tensor:
    before = layer.feedback.detach().clone()
    for step in range(1, steps + 1):
        layer.rule.after_step([layer], Moment(step, seed))
    moved: Tensor = layer.feedback.detach() - (1 - rule.decay) ** steps * before
    layer.feedback.data.copy_(before)
    return moved


def _summed(rule: Any, layer: FeedbackLayer, x: Tensor) -> Tensor:
    """W times what one mirror step sums at each tap, over what it is divided by."""
    weight = layer.weight.detach()
    if rule.noise == "idealised":
        return weight * (layer.fan_in if rule.normalize == "none" else 1)
    counts = torch.full_like(weight, float(len(x)))
    if isinstance(layer, Conv2d):  # counted without the layer's own arithmetic; a tap may be out of reach
        one = torch.ones_like(weight).requires_grad_()
        answer = torch.conv2d(torch.ones_like(x), one, padding=1)
        counts = torch.autograd.grad(answer.sum(), one)[0]
    over = {"none": torch.ones(()), "positions": torch.tensor(layer.positions(x)), "taps": counts.clamp(min=1)}
    return weight * counts / over[rule.normalize]


def _rectified(rule: Any) -> bool:
    """The certified layers have a ReLU above them, which halves the gain (Stein: E[x φ(w·x)] = σ² w E φ')."""
    return bool(rule.through == "nonlinearity")


def _scatter(rule: Any, layer: FeedbackLayer, samples: float) -> float:
    """How far chance takes the gain: the noise of x, which the rows of W share, and that of the receiver."""
    weight = layer.weight.detach().flatten(1)
    size = float(weight.square().sum())
    shared = 0.0 if _exact(rule) else 2 * float((weight @ weight.t()).square().sum()) / size**2
    variance = (shared + (rule.receiver_noise / rule.sigma) ** 2 / size) / samples
    return math.sqrt(variance) * (2 if _rectified(rule) else 1)


def _exact(rule: Any) -> bool:
    return bool(rule.noise == "idealised") and not _rectified(rule)


def _spread(rule: Any, layer: FeedbackLayer) -> float:
    """N_eff tan²: fan-in + 1 for Gaussian noise through the linear map; the other fields change it.

    A row's estimate varies by Σ_j Var(y x_j), divided by |w|² and the squared gain; κ is the noise's kurtosis.
    """
    fan_in, rectified = layer.fan_in, _rectified(rule)
    size = float(layer.weight.detach().square().sum(1).mean())  # |w|² of a row
    receiver = float(fan_in * (rule.receiver_noise / rule.sigma) ** 2 / size)
    if _exact(rule):
        return receiver
    kurtosis = KURTOSIS[rule.noise]
    return 2 * fan_in + 2 * kurtosis - 3 + 4 * receiver if rectified else fan_in + kurtosis - 2 + receiver


def _gain(*found: Mirrored) -> Check:
    errors = [float((one.moved * one.expected).sum() / one.expected.square().sum()) - 1 for one in found]
    bounds = [0.01 + 6 * one.scatter for one in found]
    measured = "linear {:+.2%}, convolution {:+.2%}".format(*errors)
    passed = all(abs(error) < bound for error, bound in zip(errors, bounds, strict=True))
    promise = "Mirror mode takes B to its fixed point c·W, c = ησ²/λ (times taps or φ' where the fields say so)"
    return Check("mirror gain", promise, "{:.1%}, {:.1%}".format(*bounds), measured, passed)


def _angle(rule: Any, dense: Mirrored) -> Check | LeftOut:
    if rule.noise == "idealised" and not _exact(rule):
        return LeftOut("mirror angle", "no law is known for orthonormal probes through a nonlinearity")
    found, spread = angle(dense.moved, dense.layer.weight), _spread(rule, dense.layer)
    if spread == 0:
        promise = "Orthonormal probes leave no angle: they read W out exactly, and are labelled idealised"
        return Check("mirror angle", promise, "0.01°", f"{found:.4f}°", found < 0.01)
    law = math.degrees(math.atan(math.sqrt(spread / dense.samples)))
    # cotangents, which go smoothly through 90°
    ratio = math.tan(math.radians(law)) / math.tan(math.radians(found))
    bound = 0.1 + 6 * dense.scatter + 2 / math.sqrt(dense.samples)
    promise = (
        "The angle that sampling leaves follows tan = √((fan-in + 1)/N_eff) (linear layer; as the fields change it)"
    )
    measured = f"{found:.2f}°, the law says {law:.2f}°"
    return Check("mirror angle", promise, f"{bound:.0%} of the cotangent", measured, abs(ratio - 1) < bound)


def _falls(rule: Rule) -> Check:
    layer = _layers(replace(rule, interval=1) if has_field(rule, "interval") else rule)[0]  # type: ignore[call-arg]
    start = angle(layer.feedback, layer.weight)
    layer.rule.before_learning([layer], Moment(0, seed=5))
    for step in range(1, 301):
        layer.rule.after_step([layer], Moment(step, seed=5))
    end = angle(layer.feedback, layer.weight)
    promise = "With W at rest, mirror mode turns B towards W (linear layer, 300 steps)"
    return Check("mirror angle", promise, "below 45°", f"{start:.1f}° to {end:.1f}°", end < 45)
