"""The product rule of δ angles: in random layers, cos(δ angle) is the product of the matrix-angle cosines above."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import nn

from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.testbed import has_fields, no_feedback_matrix_reason, uncovered_reason
from nowt.layers.alignment import measure_alignment
from nowt.layers.attach import attach
from nowt.models.initialization import initialize_as_torchvision, initialize_layers
from nowt.models.mlp import Mlp
from nowt.rules.base import Rule, overrides
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.initialization import rotate_to_angle
from nowt.store.records import Layer

WIDTH, DEPTH, SAMPLES = 1000, 4, 128

ANGLE = 40.0  # degrees between B and W; at 90, the product could not be distinguished from chance

BOUND = 0.5  # degrees


def check_delta(rule: Rule) -> CheckResults:
    """Yield one check of the complete feedback path, against backprop's δ with the same W."""
    reason = no_feedback_matrix_reason(rule) or uncovered_reason(rule, _dense_network())
    if overrides(rule, "feedback"):  # the product rule holds for a B that was drawn independently of W
        reason = "the rule computes what carries the error from B (feedback)"
    if reason:
        yield SkippedCheck("delta", reason)
        return
    rotated = rule.transports == ""
    layers = list(reversed(_measure_angles(rule, rotated)))
    found, expected = [layer.delta_angle for layer in layers], _product_rule(layers)
    worst = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    angles = ", ".join(f"{angle:.1f}°" for angle in found)
    promise = f"The cosine of δ's angle is the product of the cosines above it (dense, n = {WIDTH}, {DEPTH} layers)"
    note = f"with B rotated to {ANGLE:g}° from W" if rotated else ""
    yield Check(
        "delta", promise, f"{BOUND}°", f"off by at most {worst:.2f}°: {angles} from the top", worst < BOUND, note
    )


def _product_rule(layers: Sequence[Layer]) -> list[float]:
    """Return the δ angle expected at each layer in degrees, from the last layer to the first."""
    expected, cosine = [], 1.0
    for layer in layers:
        expected.append(math.degrees(math.acos(min(1.0, cosine))))
        cosine *= math.cos(math.radians(layer.matrix_angle))
    return expected


def _measure_angles(rule: Rule, rotated: bool) -> tuple[Layer, ...]:
    """Measure matrix angle and δ angle of every layer of a random dense network."""
    by_field = rotated and has_fields(rule, "angle")
    model = copy.deepcopy(_dense_network())
    layers = attach(model, replace(rule, angle=ANGLE) if by_field else rule)  # type: ignore[call-arg]
    if rotated and not by_field:
        _rotate(layers)
    x, error = (torch.randn(SAMPLES, WIDTH, generator=generator(0, "certificate", name)) for name in ("x", "error"))
    return measure_alignment(model, layers, x, error, lambda output, y: (output * y).sum())


@cache
def _dense_network() -> nn.Module:
    """Return the network before a rule is attached, which is the same for all rules: drawing four million W is slow."""
    model = Mlp((WIDTH,) * (DEPTH + 1), "relu")
    initialize_layers(model, initialize_as_torchvision, seed=0)
    return model


def _rotate(layers: list[FeedbackLayer]) -> None:
    with torch.no_grad():
        for layer in layers:
            layer.feedback.copy_(rotate_to_angle(layer.weight.detach(), layer.feedback, ANGLE))
