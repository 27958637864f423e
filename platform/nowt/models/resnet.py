"""Residual networks for small images: resnet20 and resnet56 for CIFAR, tiny_resnet for digits."""

from typing import cast

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64)  # channels of the three stages


class SmallResNet(nn.Module):
    """He et al. (2015), "Deep residual learning for image recognition", section 4.2: 6n + 2 weighted layers.

    A 3×3 convolution, three stages of n = ``blocks`` basic blocks, global average pooling and a linear layer. The
    second and third stages halve the feature map and double the channels. Shortcuts that change the shape are 1×1
    projections with batch norm in a submodule ``downsample`` (the paper's option B). The paper's CIFAR networks use
    subsampling and zero padding instead (option A), which have no weights that a learning rule could act on. Modules
    are named as in torchvision.
    """

    def __init__(self, channels: int, classes: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], 1, blocks)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], 2, blocks)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], 2, blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images x, (N, channels, H, W) with any H and W, to logits, (N, classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return cast(Tensor, self.fc(torch.flatten(self.avgpool(x), 1)))


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut: the identity, or a projection if the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map x, (N, inputs, H, W), to (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return cast(Tensor, self.relu(y + shortcut))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
    return nn.Sequential(Block(inputs, outputs, stride), *rest)
