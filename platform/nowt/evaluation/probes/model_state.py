"""Runs a network without changing it: its modes, its running statistics and torch's random state are restored."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Set every module to train or eval mode within the block, and restore each module's mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train(training)
        yield
    finally:
        for module, before in modes.items():
            module.training = before


@contextmanager
def preserved_random_state(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Restore torch's random state after the block. If ``seed`` is given, the block starts from it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def forward_in_train_mode(model: nn.Module, x: Tensor) -> Tensor:
    """Return the output for ``x`` in train mode, with this batch's statistics; running statistics do not change."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with in_mode(model, training=True):
        output: Tensor = torch.func.functional_call(model, buffers, (x,))
    return output


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return every trained W (kernels and matrices, no biases) by layer name, in the model's order."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1}
    return {name.removesuffix(".weight"): p for name, p in found.items()}
