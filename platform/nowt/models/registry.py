"""Models by name: ResNets for ImageNet, CIFAR and digits, dense networks, and custom models from a file or module."""

import inspect
from collections.abc import Callable

import torch
from torch import nn

from nowt.config.run_config import ModelConfig
from nowt.core.errors import ConfigError, did_you_mean, require
from nowt.core.plugins import load_object
from nowt.core.random_state import preserved_random_state
from nowt.core.seeding import seed_of
from nowt.layers.forward_pass import materialize
from nowt.models.batch_norm import group_batch_norms, zero_last_gammas
from nowt.models.initialization import (
    initialize_as_dense_paper,
    initialize_as_paper,
    initialize_as_torchvision,
    initialize_layers,
)
from nowt.models.mlp import Mlp
from nowt.models.resnet import SmallResNet

Shape = tuple[int, int, int]  # channels, height, width

Builder = Callable[[ModelConfig, Shape, int], nn.Module]


def build_model(config: ModelConfig, shape: Shape, classes: int, seed: int) -> nn.Module:
    """Build the network that ``config`` describes, on the CPU, for images of ``shape`` (channels, height, width).

    The initialization of a layer depends on ``seed``, the layer's name and its shape alone. torch's global generator is
    not changed. A custom model (``FILE.py:FUNCTION`` or ``module:FUNCTION``) is built by
    ``function(shape=shape, classes=classes)`` with the global generator seeded, and keeps its own initialization. Lazy
    layers receive their weights from a forward pass on two images of zeros.

    Raises ConfigError if there is no such model, or if a setting does not apply to it.
    """
    if config.name in MODELS:
        model = _build_builtin(config, shape, classes, seed)
    elif ":" in config.name or config.name.endswith(".py"):
        model = _build_custom(config, shape, classes, seed)
    else:
        known = f"there are: {', '.join(MODELS)}, or FILE.py:FUNCTION for a custom model"
        raise ConfigError(f"there is no model {config.name!r}{did_you_mean(config.name, MODELS)}; {known}")
    if config.zero_init_gamma:
        zero_last_gammas(model, config.name)
    if config.norm_group is not None:
        group_batch_norms(model, config.norm_group, config.name)
    return model


def _build_builtin(config: ModelConfig, shape: Shape, classes: int, seed: int) -> nn.Module:
    # the constructors draw weights, too; initialize_layers replaces all of them
    with preserved_random_state(torch.device("cpu"), 0):
        model = MODELS[config.name](config, shape, classes)
    paper = initialize_as_dense_paper if config.name == "mlp" else initialize_as_paper
    initialize_layers(model, paper if config.weights == "paper" else initialize_as_torchvision, seed)
    return model


def _build_custom(config: ModelConfig, shape: Shape, classes: int, seed: int) -> nn.Module:
    require(
        config.weights == "torchvision",
        f"model.weights is {config.weights}: {config.name} initializes its own weights; leave out model.weights",
    )
    function = load_object(config.name)
    try:
        inspect.signature(function).bind(shape=shape, classes=classes)
    except TypeError as error:
        call = "it must accept function(shape=(channels, height, width), classes=n)"
        raise ConfigError(f"{config.name} cannot build a model: {error}; {call}") from error
    with preserved_random_state(torch.device("cpu"), seed_of(seed, "weights")):
        model = function(shape=shape, classes=classes)
        returned = type(model).__name__
        require(isinstance(model, nn.Module), f"{config.name} returned {returned}: it must return a torch.nn.Module")
        assert isinstance(model, nn.Module)
        try:
            materialize(model, torch.zeros(2, *shape))
        except ValueError as error:
            raise ConfigError(f"model {config.name}: {error}") from error
    return model


def _torchvision(config: ModelConfig, shape: Shape, classes: int) -> nn.Module:
    """Return torchvision's ResNet of that name, with as many input channels as the images have."""
    import torchvision

    model: nn.Module = getattr(torchvision.models, config.name)(num_classes=classes)
    if shape[0] != 3:
        model.conv1 = nn.Conv2d(shape[0], 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model


def _small_resnet(blocks: int) -> Builder:
    return lambda config, shape, classes: SmallResNet(shape[0], classes, blocks)


def _mlp(config: ModelConfig, shape: Shape, classes: int) -> nn.Module:
    require(
        config.hidden != (),
        "model.hidden is empty: mlp needs the sizes of its hidden layers, such as 500",
    )
    channels, height, width = shape
    return Mlp((channels * height * width, *config.hidden, classes), config.activation)


MODELS: dict[str, Builder] = {
    "resnet18": _torchvision,
    "resnet34": _torchvision,
    "resnet50": _torchvision,
    "resnet101": _torchvision,
    "resnet152": _torchvision,
    "resnet20": _small_resnet(3),
    "resnet56": _small_resnet(9),
    "tiny_resnet": _small_resnet(1),
    "mlp": _mlp,
}
