"""Models for tests, and the text of a file with custom models."""

from typing import Any

from torch import nn

from nowt.config.run_config import ModelConfig
from nowt.models.registry import build_model

COLOR_SHAPE = (3, 32, 32)

GRAY_SHAPE = (1, 16, 16)


def build(
    name: str, shape: tuple[int, int, int] = COLOR_SHAPE, classes: int = 10, seed: int = 0, **fields: Any
) -> nn.Module:
    """Build the model ``name`` with these fields of ModelConfig."""
    return build_model(ModelConfig(name=name, **fields), shape, classes, seed)


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


CUSTOM_MODELS = """
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
