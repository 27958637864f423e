"""The noise of mirror mode: how it is drawn, how many terms a mirror step sums, and whether it reaches all weights."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

if TYPE_CHECKING:
    from nowt.rules.base import FeedbackLayer


def draw_noise(layer: "FeedbackLayer", noise: str, sigma: float, size: tuple[int, int], stream: Generator) -> Tensor:
    """Draw noise of standard deviation ``sigma``, in the shape of the layer's input.

    ``size``: samples, and positions per side of the layer's output.
    """
    if noise == "idealised":
        return layer.orthonormal_probes(stream) * (sigma * math.sqrt(layer.fan_in))
    x = torch.empty(layer.probe_shape(*size), device=layer.weight.device, dtype=layer.weight.dtype)
    if noise == "normal":
        return x.normal_(0.0, sigma, generator=stream)
    if noise == "uniform":
        return x.uniform_(-1.0, 1.0, generator=stream).mul_(sigma * 3**0.5)
    return x.bernoulli_(0.5, generator=stream).mul_(2).sub_(1).mul_(sigma)


def summed_terms(layer: "FeedbackLayer", x: Tensor, noise: str, normalize: str) -> Tensor | int:
    """Return the number by which a mirror step divides its sum over the noise ``x``, as ``normalize`` says."""
    if normalize == "none":
        return 1
    if noise == "idealised":
        return layer.fan_in
    return layer.positions(x) if normalize == "positions" else layer.tap_counts(x)


def check_reach(layers: Sequence["FeedbackLayer"], extent: int) -> None:
    """Raise ValueError if, at ``extent``, some weights of a layer see only padding."""
    for layer in layers:
        if layer.has_unreached_weights(layer.probe_shape(1, extent)):
            raise ValueError(
                f"rule.extent is {extent}: in layer {layer.name}, some weights see only padding and receive "
                "no noise, so their B would never align; use a larger extent, or 0 for the layer's own map"
            )


def check_biases(layers: Sequence["FeedbackLayer"]) -> None:
    """Raise ValueError if no layer has a bias that could be added to the response."""
    if all(layer.bias is None for layer in layers):
        raise ValueError("rule.bias is True, but no layer with a B has a bias: leave out rule.bias")
