"""Alignment of a rule with backprop, per layer: matrix angles, δ angles and norm ratios."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from nowt.core.random_state import preserved_random_state
from nowt.layers.inputs import Inputs, call, device_of, map_tensors
from nowt.layers.model_state import Modes, gradients_of, in_mode, preserved_buffers
from nowt.layers.views import feedback_of, registered_state
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.store.records import Layer

Loss = Callable[[Any, Any], Tensor]  # of the model's output and the targets

Watch = Callable[[str, Tensor], Tensor]  # is called with the name of a layer and its output, and returns the output

Forward = Callable[..., Tensor]

LEAST_SAMPLES = 0.5  # fraction of the samples that must have a δ angle for their mean to be one


def angle(a: Tensor, b: Tensor) -> float:
    """Return the angle between two tensors of one shape, in degrees; NaN if one of them is 0 or not finite.

    It is 2·atan2(‖u−v‖, ‖u+v‖) for unit vectors u and v in float64. Near 0, arccos would lose half its digits.
    """
    return float(row_angles(a.reshape(1, -1), b.reshape(1, -1)))


def row_angles(a: Tensor, b: Tensor) -> Tensor:
    """Return the angles between the rows of two (n, d) tensors, in degrees: (n,), NaN where a row is 0."""
    a, b = a.detach().double(), b.detach().double()
    u, v = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    return torch.rad2deg(2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1)))


@contextmanager
def using_backprop(layers: Sequence[FeedbackLayer]) -> Iterator[None]:
    """Context manager in which forward passes attach backprop's backward path, the reference for δ angles."""
    every = [one for layer in layers for one in (layer, *layer.tied)]
    for layer in every:
        layer.use_backprop = True
    try:
        yield
    finally:
        for layer in every:
            layer.use_backprop = False


def measure_alignment(
    model: nn.Module, layers: Sequence[FeedbackLayer], x: Inputs, y: Any, loss: Loss, modes: Modes | None = None
) -> tuple[Layer, ...]:
    """Return every layer's alignment on the probe batch: inputs x and targets y, which the loss uses.

    δ is the error signal at the layer's output. It is computed with the same W, once through the rule's backward path
    and once through backprop's; the δ angle is the mean over samples, NaN if fewer than half of them receive an error.
    The modules are in the given ``modes``, and in train mode by default. The model does not change, running statistics
    included.
    """
    if not layers:
        return ()
    by_rule = error_signals(model, layers, x, y, loss, modes)
    with using_backprop(layers):
        by_backprop = error_signals(model, layers, x, y, loss, modes)
    _mark_through_feedback(model, layers, x, y, loss, modes)
    depths = _depths(layers)
    return tuple(
        _layer(layer, depths[layer.name], by_rule.get(layer.name), by_backprop.get(layer.name)) for layer in layers
    )


def error_signals(
    model: nn.Module, layers: Sequence[FeedbackLayer], x: Inputs, y: Any, loss: Loss, modes: Modes | None = None
) -> dict[str, Tensor]:
    """Return δ at the output of each layer that the error reaches, by layer name; by default in train mode.

    If a forward pass calls a layer several times, it is the δ of the first call.
    """
    found: dict[str, Tensor] = {}
    ends: list[Tensor | GradientEdge] = []

    def start(value: Tensor) -> Tensor:
        begin = value.detach().requires_grad_(value.is_floating_point())
        ends.extend([begin] if begin.requires_grad else [])
        return begin.clone()  # the model may change its input in place

    def watch(name: str, output: Tensor) -> Tensor:
        if output.requires_grad:  # the first pass through a checkpointed part records no graph
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda error: found.__setitem__(name, error.detach())
            )
            ends.append(get_gradient_edge(output))  # a layer's input may not depend on x, as a learned query
        return output.clone()  # a function that changes a view in place, such as a ReLU, would remove it from the graph

    with (
        torch.enable_grad(),
        _changed_forwards(layers, lambda layer, forward: _watched(layer.name, forward, watch)),
        in_mode(model, training=True if modes is None else modes),
        # dropout drops the same units each time, and training draws as without this
        preserved_random_state(device_of(model, x)),
        preserved_buffers(model),
        _unobserved(layers),
    ):
        gradients_of(lambda: loss(call(model, map_tensors(start, x)), y), ends, model)
    return found


@contextmanager
def _unobserved(layers: Sequence[FeedbackLayer]) -> Iterator[None]:
    """Context manager in which the rule observes nothing, and what it caches is dropped: what is measured is no
    training."""
    every = [one for layer in layers for one in (layer, *layer.tied)]
    caches = [dict(layer.cache) for layer in layers]
    for layer in every:
        layer.observed = False
        layer.cache.clear()
    try:
        yield
    finally:
        for layer in every:
            layer.observed = True
            layer.cache.clear()
        for layer, cache in zip(layers, caches, strict=True):
            layer.cache.update(cache)


def _mark_through_feedback(
    model: nn.Module, layers: Sequence[FeedbackLayer], x: Inputs, y: Any, loss: Loss, modes: Modes | None
) -> None:
    """Find out once, for each layer, whether the error passes through a covered layer on its way to it.

    An error that passes through a covered layer is made NaN, so the layers whose δ is finite are the others. A δ of 0
    does not count as finite: a dead unit ends the error's way, and hides where it came from.
    """
    if all(layer.through_feedback is not None for layer in layers):
        return
    every = [one for layer in layers for one in (layer, *layer.tied)]
    with (
        using_backprop(layers),
        torch.autograd.set_detect_anomaly(False),
        _changed_forwards(every, lambda _, forward: _hiding_errors(forward)),
    ):
        found = error_signals(model, layers, x, y, loss, modes)
    for layer in layers:
        signal = found.get(layer.name)
        layer.through_feedback = signal is None or not bool(signal.isfinite().all() and signal.any())


def _hiding_errors(forward: Forward) -> Forward:
    """Return ``forward`` with errors that are NaN at its inputs."""

    def hidden(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        copy = value.clone()
        if copy.requires_grad:  # the first pass through a checkpointed part records no graph
            copy.register_hook(lambda error: torch.full_like(error, math.nan))  # type: ignore[no-untyped-call]
        return copy

    return lambda *args, **kwargs: forward(*map(hidden, args), **{name: hidden(v) for name, v in kwargs.items()})


@contextmanager
def _changed_forwards(
    layers: Sequence[FeedbackLayer], change: Callable[[FeedbackLayer, Forward], Forward]
) -> Iterator[None]:
    """Replace ``forward`` of each layer by what ``change`` returns. A model may call it directly, which runs no
    hooks."""
    before = [(layer, layer.__dict__.get("forward"), layer.forward) for layer in layers]
    try:
        for layer, _, forward in before:
            layer.__dict__["forward"] = change(layer, forward)
        yield
    finally:
        for layer, own, _ in before:
            del layer.__dict__["forward"]
            layer.__dict__.update({} if own is None else {"forward": own})


def _watched(name: str, forward: Forward, watch: Watch) -> Forward:
    return lambda *args, **kwargs: watch(name, forward(*args, **kwargs))


def _depths(layers: Sequence[FeedbackLayer]) -> dict[str, int]:
    """Return each layer's position in the model's definition; the output layer is the last, wherever it is defined, and
    so is a layer that shares its W."""
    ordered = sorted(layers, key=lambda layer: layer.output_layer in (layer, *layer.tied))
    return {layer.name: depth for depth, layer in enumerate(ordered)}


def _layer(layer: FeedbackLayer, depth: int, by_rule: Tensor | None, by_backprop: Tensor | None) -> Layer:
    weight, feedback = layer.weight.detach(), feedback_of(layer)
    norm = float(weight.double().norm())
    sent_through = feedback if feedback.numel() else registered_state(layer).get("feedback", feedback)
    ratio = float(sent_through.detach().double().norm()) / norm if norm > 0 else math.nan
    # the B of direct feedback has another shape than W, so there is no angle between them
    matrix = angle(feedback, weight) if feedback.shape == weight.shape else math.nan
    return Layer(layer.name, depth, matrix, _delta_angle(by_rule, by_backprop), ratio, layer.through_feedback)


def _delta_angle(by_rule: Tensor | None, by_backprop: Tensor | None) -> float:
    """Return the mean angle over the samples whose δ is not 0.

    It is NaN if these are fewer than half of the samples, since the few that still receive an error in a dying network
    would stand for all of them, and if a δ is not finite.
    """
    if by_rule is None or by_backprop is None:
        return math.nan
    if not (by_rule.isfinite().all() and by_backprop.isfinite().all()):
        return math.nan
    angles = row_angles(by_rule.flatten(1), by_backprop.flatten(1))
    known = float(angles.isfinite().double().mean())
    return float(angles.nanmean()) if known >= LEAST_SAMPLES else math.nan
