"""The networks: ResNets for ImageNet, CIFAR and digits, dense nets, and any of the user's own."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from nowt.config.run_config import ModelConfig
from nowt.core.errors import ConfigError, nearest, require
from nowt.core.plugins import load_object
from nowt.core.seeding import seed_of
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
    """The network ``config`` describes, on the CPU, for pictures of ``shape`` (channels, height, width).

    ``seed`` draws W layer by layer: how a layer starts depends on (seed, its name, its shape) and on
    nothing else. torch's global generator is left as it was. A function of the user's own
    (``FILE.py:FUNCTION`` or ``module:FUNCTION``) is called as ``function(shape=shape, classes=classes)``
    with that generator seeded, and its own initialisation stands.

    Raises ConfigError for an unknown name and for a setting that the network cannot follow.
    """
    if config.name in MODELS:
        model = _built_in(config, shape, classes, seed)
    elif ":" in config.name or config.name.endswith(".py"):
        model = _own(config, shape, classes, seed)
    else:
        known = f"there are: {', '.join(MODELS)}, or FILE.py:FUNCTION of yours"
        raise ConfigError(f"there is no model {config.name!r}{nearest(config.name, MODELS)}; {known}")
    if config.zero_init_gamma:
        zero_last_gammas(model, config.name)
    if config.norm_group is not None:
        group_batch_norms(model, config.norm_group, config.name)
    return model


def _built_in(config: ModelConfig, shape: Shape, classes: int, seed: int) -> nn.Module:
    with _global_generator(0):  # the constructors draw weights, too; all of these are drawn again by name
        model = MODELS[config.name](config, shape, classes)
    paper = initialize_as_dense_paper if config.name == "mlp" else initialize_as_paper
    initialize_layers(model, paper if config.weights == "paper" else initialize_as_torchvision, seed)
    return model


def _own(config: ModelConfig, shape: Shape, classes: int, seed: int) -> nn.Module:
    require(
        config.weights == "torchvision",
        f"model.weights is {config.weights}: {config.name} draws its own weights; leave it at torchvision",
    )
    function = load_object(config.name)
    try:
        inspect.signature(function).bind(shape=shape, classes=classes)
    except TypeError as error:
        call = "it is called as function(shape=(channels, height, width), classes=n)"
        raise ConfigError(f"{config.name} cannot build a model: {error}; {call}") from error
    with _global_generator(seed_of(seed, "weights")):
        model = function(shape=shape, classes=classes)
    given = type(model).__name__
    require(isinstance(model, nn.Module), f"{config.name} returned {given}: it must return a torch.nn.Module")
    assert isinstance(model, nn.Module)
    return model


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """Within it, torch's global CPU generator is seeded; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU besides
        yield


def _torchvision(config: ModelConfig, shape: Shape, classes: int) -> nn.Module:
    """torchvision's ResNet of that name, with as many input channels as the pictures have."""
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
        "model.hidden is empty: mlp needs its hidden layers' sizes, e.g. --model.hidden 500",
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
