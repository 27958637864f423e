"""The δ product rule: through random layers, the cosine of δ's angle is the product of the matrices' cosines."""

import math
from dataclasses import replace

import torch

from nowt.core.seeding import generator
from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import has_field, why_no_matrix
from nowt.layers.attach import attach
from nowt.models.initialization import initialize_as_torchvision, initialize_layers
from nowt.models.mlp import Mlp
from nowt.rules.base import FeedbackLayer, Rule
from nowt.rules.feedback import at_angle
from nowt.store.records import Layer
from nowt.training.alignment import measure_alignment

WIDTH, DEPTH, SAMPLES = 1000, 4, 128

ANGLE = 40.0  # degrees to W that B is turned to where it would start at 90, which no product could tell from chance

BOUND = 0.5


def check_delta(rule: Rule) -> Findings:
    """One row: an end-to-end check of the whole way back, against backprop's δ with the same W."""
    why = why_no_matrix(rule)
    if why:
        yield LeftOut("delta", why)
        return
    turned = rule.transports == ""
    found = _measured(rule, turned)
    laws, cosine = [], 1.0
    for layer in reversed(found):
        laws.append(math.degrees(math.acos(min(1.0, cosine))))
        cosine *= math.cos(math.radians(layer.matrix_angle))
    deltas = [layer.delta_angle for layer in reversed(found)]
    worst = max(abs(delta - law) for delta, law in zip(deltas, laws, strict=True))
    measured = f"off by {worst:.2f}° at most: {', '.join(f'{delta:.1f}°' for delta in deltas)} from the top down"
    promise = f"δ's cosine is the product of the crossed layers' cosines (dense, n = {WIDTH}, {DEPTH} layers)"
    note = f"B turned to {ANGLE:g}° from W for this" if turned else ""
    yield Check("delta", promise, f"{BOUND}°", measured, worst < BOUND, note)


def _measured(rule: Rule, turned: bool) -> tuple[Layer, ...]:
    """Both angles of every layer of a random dense network."""
    by_field = turned and has_field(rule, "angle")
    model = Mlp((WIDTH,) * (DEPTH + 1), "relu")
    initialize_layers(model, initialize_as_torchvision, seed=0)
    layers = attach(model, replace(rule, angle=ANGLE) if by_field else rule)  # type: ignore[call-arg]
    if turned and not by_field:
        _turn(layers)
    x, error = (torch.randn(SAMPLES, WIDTH, generator=generator(0, "certificate", name)) for name in ("x", "error"))
    return measure_alignment(model, layers, x, error, lambda output, y: (output * y).sum())


def _turn(layers: list[FeedbackLayer]) -> None:
    with torch.no_grad():
        for layer in layers:
            layer.feedback.copy_(at_angle(layer.weight.detach(), layer.feedback, ANGLE))
