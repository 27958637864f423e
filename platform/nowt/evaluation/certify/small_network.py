"""The small residual network that rules are certified on, and its batches."""

import torch
from torch import Tensor, nn

from nowt.core.seeding import generator
from nowt.models.initialization import initialize_as_torchvision, initialize_layers

CLASSES = 5


class Block(nn.Module):
    """Two convolutions with a shortcut: the identity, or a projection where the shape changes."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H/stride, W/stride), rounded up."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class SmallNet(nn.Module):
    """A residual network with one identity shortcut and one projection.

    Input and output sizes differ in every layer, so that the shape distinguishes W from its transpose.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.block1 = Block(6, 5, 6)
        self.block2 = Block(6, 7, 8, stride=2)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 2, H, W) to logits (N, 5)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        y: Tensor = self.fc(self.block2(self.block1(x)).mean((2, 3)))
        return y


def small_net(dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return the small network with the same W at every call."""
    with torch.random.fork_rng(devices=[]):
        model = SmallNet().to(dtype)
    initialize_layers(model, initialize_as_torchvision, seed=0)
    return model


def remove_norms(model: nn.Module) -> None:
    """Replace every batch norm by the identity, so that a sample's activity does not depend on the others."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())


@torch.no_grad()
def shuffle_weights(model: nn.Module, number: int) -> None:
    """Give each W its own entries in another order, a pure function of ``number``."""
    for name, weight in weights_by_layer(model).items():
        order = torch.randperm(weight.numel(), generator=generator(number, "certificate", "order", name))
        weight.copy_(weight.flatten()[order].view_as(weight))


def batch(number: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return noise images (10, 2, 8, 8) and labels (10,), a pure function of ``number``."""
    x = torch.randn(10, 2, 8, 8, generator=generator(0, "certificate", "pictures", number), dtype=dtype)
    return x, torch.arange(10) % CLASSES


def weights_by_layer(model: nn.Module) -> dict[str, Tensor]:
    """Return the W of every convolution and linear layer, by layer name."""
    return {n: m.weight for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
