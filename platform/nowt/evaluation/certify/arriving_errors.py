"""Two checks of every rule, also of one whose error does not pass through a matrix: W learns from the error that
arrives, and before B has learned, that error is not backprop's."""

import secrets
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.small_network import batch, weights_by_layer
from nowt.evaluation.certify.testbed import Testbed
from nowt.layers.alignment import error_signals, using_backprop
from nowt.rules.base import Rule
from nowt.rules.feedback_layer import FeedbackLayer

DRAWS = 20  # of B and W

MOST = 0.3  # mean cosine; that of an independent B is 0 within 1/√(20 · units)


def check_arriving_errors(rule: Rule) -> CheckResults:
    """Yield two checks; the second is skipped for a rule whose B starts from W or transports it."""
    testbed = Testbed.build(rule)
    if not testbed.layers:
        yield from (SkippedCheck(name, "the rule covers no layer: torch's own layers use backprop") for name in NAMES)
        return
    worst = max(_gradient_errors(rule), default=0.0)
    promise = "W's gradient is the outer product of a layer's input and the error that arrives at its output"
    yield Check("outer product", promise, "1e-9 relative", f"off by at most {worst:.0e}", worst <= 1e-9)
    if reason := _reason(rule, testbed):
        yield SkippedCheck("independent error", reason)
        return
    cosine = _mean_cosine(rule)
    promise = f"Before B has learned, the error is not backprop's (mean cosine over {DRAWS} draws of W and B)"
    yield Check("independent error", promise, f"below {MOST:g}", f"{cosine:.2f}", cosine < MOST)


NAMES = ("outer product", "independent error")


def _reason(rule: Rule, testbed: Testbed) -> str:
    """Return why the error may be backprop's; empty if it must not."""
    if rule.transports:
        return "the rule declares that it reads W"
    if len(testbed.layers) < len(weights_by_layer(testbed.model)):
        return "the error also passes through layers that the rule leaves to backprop"
    return "B starts from W" if starts_from_weight(rule) else ""


def starts_from_weight(rule: Rule) -> bool:
    """Return whether the rule declares an initial angle other than 90° between B and W."""
    declared = rule.initialization()
    return declared is not None and declared.angle not in (None, 90.0)


def _gradient_errors(rule: Rule) -> Iterator[float]:
    """Yield, for each covered layer, by how much W's gradient differs from the product, relative to its norm."""
    testbed = Testbed.build(rule, dtype=torch.float64)
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {layer.name: [] for layer in testbed.layers}

    def watch(layer: FeedbackLayer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0].detach().clone()
        if output.requires_grad:
            output.register_hook(lambda error: seen[layer.name].append((x, error.detach().clone())))  # type: ignore[no-untyped-call]

    for layer in testbed.layers:
        layer.register_forward_hook(watch)
    x, y = batch(1, torch.float64)
    F.cross_entropy(testbed.model(x), y).backward()  # type: ignore[no-untyped-call]
    for layer in testbed.layers:
        found = layer.weight.grad
        products = [layer.geometry.outer_product(x, error) for x, error in seen[layer.name]]
        expected = sum(products, layer.weight.new_zeros(()))
        size = float(expected.norm())
        if found is None or size == 0 or not bool(found.isfinite().all()):
            yield float("inf")  # missing, 0, or not a number
        else:
            yield float((found - expected).norm()) / size


def _mean_cosine(rule: Rule) -> float:
    """Return the largest mean cosine over the layers below the last one, over draws of B and of W's entries.

    W is shuffled by the operating system's randomness, so that no rule can know it in advance.
    """
    cosines = []
    for seed in range(DRAWS):
        testbed = Testbed.build(rule, seed=seed, shuffled=secrets.randbits(60))
        x, y = batch(seed)
        signals = error_signals(testbed.model, testbed.layers, x, y, F.cross_entropy)
        with using_backprop(testbed.layers):
            expected = error_signals(testbed.model, testbed.layers, x, y, F.cross_entropy)
        below = [layer for layer in testbed.layers if layer is not layer.output_layer and layer.name in signals]
        cosines.append([_cosine(signals[layer.name], expected[layer.name]) for layer in below])
    return float(torch.tensor(cosines).mean(0).abs().max()) if cosines and cosines[0] else 0.0


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(F.cosine_similarity(one.flatten().double(), other.flatten().double(), dim=0))
