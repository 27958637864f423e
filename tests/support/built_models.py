"""Networks as the tests of the models build them, and a file with models of one's own."""

from typing import Any

from torch import nn

from nowt.config.run_config import ModelConfig
from nowt.models.registry import build_model

COLOUR = (3, 32, 32)

GREY = (1, 16, 16)


def build(
    name: str, shape: tuple[int, int, int] = COLOUR, classes: int = 10, seed: int = 0, **fields: Any
) -> nn.Module:
    return build_model(ModelConfig(name=name, **fields), shape, classes, seed)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes, norm):
        super().__init__()
        self.norm = norm
        self.fc = nn.Linear(inputs, classes)
    def forward(self, x):
        return self.fc(self.norm(x).flatten(1))

def net(shape, classes):
    return Net(shape[0] * shape[1] * shape[2], classes, nn.BatchNorm2d(shape[0]))

def odd_norm(shape, classes):
    return Net(shape[0] * shape[1] * shape[2], classes, nn.BatchNorm2d(shape[0], momentum=None))

def wrong_arguments(pixels):
    return nn.Linear(pixels, 1)

def no_module(shape, classes):
    return "a network"
"""
