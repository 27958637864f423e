"""Initialization of W, layer by layer, each from a generator seeded with the layer's name."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nowt.core.seeding import generator

TRUNCATED_SD = 0.87962566  # standard deviation of a standard normal truncated at ±2


@dataclass(frozen=True)
class LayerInitialization:
    """A layer to initialize, with the generators of its W and its bias."""

    layer: nn.Conv2d | nn.Linear
    weights: torch.Generator
    biases: torch.Generator
    last: bool  # whether it is the network's classifier


def initialize_layers(model: nn.Module, draw: Callable[[LayerInitialization], None], seed: int) -> None:
    """Initialize every convolution and linear layer of ``model`` with ``draw``; batch norms keep γ = 1 and β = 0."""
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for name, layer in layers:
        weights, biases = generator(seed, "weights", name), generator(seed, "weights", name, "bias")
        draw(LayerInitialization(layer, weights, biases, last=name == layers[-1][0]))


def initialize_as_torchvision(init: LayerInitialization) -> None:
    """Initialize as torchvision's ResNets: convolutions N(0, 2/fan_out), linear layers and biases U(±1/√fan_in)."""
    layer = init.layer
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=init.weights)
        return
    bound = 1 / math.sqrt(layer.in_features)
    nn.init.uniform_(layer.weight, -bound, bound, generator=init.weights)
    nn.init.uniform_(layer.bias, -bound, bound, generator=init.biases)


def initialize_as_paper(init: LayerInitialization) -> None:
    """Initialize as Google's TPU ResNet, whose distributions match the initial angles of Akrout et al. (2019).

    Convolutions: a normal distribution truncated at ±2 standard deviations, with variance 1/fan_in after truncation
    (the defaults of TensorFlow's ``variance_scaling_initializer``: scale 1, fan_in). Classifier: N(0, 0.01²), bias 0.
    """
    layer = init.layer
    if init.last:
        nn.init.normal_(layer.weight, std=0.01, generator=init.weights)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        return
    sd = 1 / math.sqrt(layer.weight[0].numel()) / TRUNCATED_SD
    nn.init.trunc_normal_(layer.weight, std=sd, a=-2 * sd, b=2 * sd, generator=init.weights)


def initialize_as_dense_paper(init: LayerInitialization) -> None:
    """Initialize as the dense networks of Akrout et al. (2019): W and biases normal with variance 1/(n_in + n_out)."""
    layer = init.layer
    outputs, inputs = layer.weight.shape
    sd = 1 / math.sqrt(inputs + outputs)
    nn.init.normal_(layer.weight, std=sd, generator=init.weights)
    assert layer.bias is not None
    nn.init.normal_(layer.bias, std=sd, generator=init.biases)
