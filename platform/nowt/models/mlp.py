"""Dense networks like those that Akrout et al. (2019) trained on MNIST and CIFAR-10."""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

ACTIVATIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class Mlp(nn.Module):
    """Linear layers ``fc1``, ``fc2``, ... with a nonlinearity between them.

    ``sizes`` lists the numbers of inputs, of units of each hidden layer, and of classes. ``activation`` is a key of
    ``ACTIVATIONS``. The last layer returns logits; the authors' sigmoid outputs are part of the loss (binary
    cross-entropy on logits).
    """

    def __init__(self, sizes: tuple[int, ...], activation: str) -> None:
        super().__init__()
        self.activation = activation
        for k, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            self.add_module(f"fc{k}", nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map x, (N, ...) with ``sizes[0]`` values per sample, to logits, (N, classes)."""
        x = x.flatten(1)
        *hidden, last = self.children()
        for layer in hidden:
            x = ACTIVATIONS[self.activation](layer(x))
        return cast(Tensor, last(x))
