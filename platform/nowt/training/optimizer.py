"""The optimiser of W (and of B where the rule learns it from the gradient), its schedule and clipping."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nowt.config.run_config import OptimConfig
from nowt.rules.base import FeedbackLayer


def build_optimizer(config: OptimConfig, model: nn.Module, layers: Sequence[FeedbackLayer]) -> torch.optim.Optimizer:
    """The optimiser that ``config`` describes, over the groups of ``parameter_groups``, in torch's fused form.

    The fused form reads and writes each tensor once, and leaves gradients as they are (see rules/kp.py). It takes a
    parameter and its gradient by their place in memory: both must have the same strides, as autograd gives them.
    """
    groups = parameter_groups(config, model, layers)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, config.beta2), fused=True)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True)


def parameter_groups(config: OptimConfig, model: nn.Module, layers: Sequence[FeedbackLayer]) -> list[dict[str, object]]:
    """Two groups: with and without decay. A B that learns from the gradient is in its W's group (the same η, λ)."""
    norms_and_biases = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    learned = {layer.weight: layer.feedback for layer in layers if layer.rule.learns_from == "gradient"}
    weights: list[Tensor] = []
    for weight in (p for p in model.parameters() if p.requires_grad and p.dim() > 1):
        # B right behind its W: the gradient that they share is still in the processor's cache
        weights += [weight, learned[weight]] if weight in learned else [weight]
    other = config.weight_decay if config.decay_norms_and_biases else 0.0
    groups = [(weights, config.weight_decay), (norms_and_biases, other)]
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use ``lr`` in every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(model: nn.Module, largest: float | None) -> None:
    """Scale the gradient to at most the norm ``largest``. B has no gradient yet, so it is left out and later, under
    kp, takes W's scaled one."""
    if largest is not None:
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], largest)
