"""Passes through a network that leave it as it was: its modes, its running statistics, torch's generators."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Within it, every module trains or evaluates; afterwards each is as it was."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train(training)
        yield
    finally:
        for module, before in modes.items():
            module.training = before


@contextmanager
def own_generator(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Within it, torch's generators may be drawn from, seeded where ``seed`` is given; then they are as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def as_trained(model: nn.Module, x: Tensor) -> Tensor:
    """The output for ``x`` in train mode, batch norm over this batch; the running statistics advance in copies."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with in_mode(model, training=True):
        output: Tensor = torch.func.functional_call(model, buffers, (x,))
    return output


def weights_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every W that learns from its gradient (kernels and matrices), by its layer's name, in the model's order."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1}
    return {name.removesuffix(".weight"): p for name, p in found.items()}
