"""How W starts: layer by layer, from a generator of the layer's own name."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nowt.core.seeding import generator

TRUNCATED_SD = 0.87962566  # standard deviation of a standard normal cut at ±2


@dataclass(frozen=True)
class LayerInitialization:
    """A layer whose W and bias are to be drawn, and where from."""

    layer: nn.Conv2d | nn.Linear
    weights: torch.Generator
    biases: torch.Generator
    last: bool  # it is the network's classifier


def initialize_layers(model: nn.Module, draw: Callable[[LayerInitialization], None], seed: int) -> None:
    """Draw every convolution and linear layer of ``model`` anew; batch norms keep γ = 1 and β = 0."""
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for name, layer in layers:
        weights, biases = generator(seed, "weights", name), generator(seed, "weights", name, "bias")
        draw(LayerInitialization(layer, weights, biases, last=name == layers[-1][0]))


def initialize_as_torchvision(start: LayerInitialization) -> None:
    """As torchvision's ResNets: convolutions N(0, 2/fan_out), linear layers and biases U(±1/√fan_in)."""
    layer = start.layer
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=start.weights)
        return
    bound = 1 / math.sqrt(layer.in_features)
    nn.init.uniform_(layer.weight, -bound, bound, generator=start.weights)
    nn.init.uniform_(layer.bias, -bound, bound, generator=start.biases)


def initialize_as_paper(start: LayerInitialization) -> None:
    """As Google's TPU ResNet, whose distributions fit the initial angles of Akrout et al. (2019).

    Convolutions: a normal cut at ±2 sd, of variance 1/fan_in after the cut (the defaults of TensorFlow's
    ``variance_scaling_initializer``: scale 1, fan_in). The classifier: N(0, 0.01²) with bias 0.
    """
    layer = start.layer
    if start.last:
        nn.init.normal_(layer.weight, std=0.01, generator=start.weights)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        return
    sd = 1 / math.sqrt(layer.weight[0].numel()) / TRUNCATED_SD
    nn.init.trunc_normal_(layer.weight, std=sd, a=-2 * sd, b=2 * sd, generator=start.weights)


def initialize_as_dense_paper(start: LayerInitialization) -> None:
    """As the dense nets of Akrout et al.: W and biases normal with variance 1/(n_in + n_out)."""
    layer = start.layer
    outputs, inputs = layer.weight.shape
    sd = 1 / math.sqrt(inputs + outputs)
    nn.init.normal_(layer.weight, std=sd, generator=start.weights)
    assert layer.bias is not None
    nn.init.normal_(layer.bias, std=sd, generator=start.biases)
