"""The optimizer of W (and of B, if the rule learns it from the gradient), and gradient clipping."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from nowt.config.run_config import OptimConfig
from nowt.core.errors import require
from nowt.rules.feedback_layer import FeedbackLayer


def build_optimizer(config: OptimConfig, model: nn.Module, layers: Sequence[FeedbackLayer]) -> torch.optim.Optimizer:
    """Return the optimizer that ``config`` describes, in torch's fused form.

    The fused form reads and writes each tensor once and does not change gradients (see rules/kolen_pollack.py). It
    pairs a parameter with its gradient by memory layout: both must have the same strides, as those of autograd do.
    """
    return optimizer_of(config, parameter_groups(config, model, layers))


def optimizer_of(config: OptimConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return the optimizer that ``config`` describes, of these groups of parameters."""
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, config.beta2), fused=True)
    return FusedSGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True)


class FusedSGD(torch.optim.SGD):
    """torch's fused SGD with the same numbers, for weights of any memory layout.

    On the CPU, torch copies each tensor that is not contiguous, such as weights in ``channels_last``, which takes as
    long as the step itself. Here it receives them with their dimensions in the order of memory.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Do one step on the present gradients. A ``closure``, which computes them again, is not supported."""
        assert closure is None
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            buffers = [self.state[p].get("momentum_buffer") for p in params] if group["momentum"] else []
            self._update(group, params, buffers)

    def _update(self, group: dict[str, Any], params: list[Tensor], buffers: list[Tensor | None]) -> None:
        layouts = [_in_memory_order(p) for p in params]
        ordered = [b if b is None else layout(b) for layout, b in zip(layouts, buffers, strict=bool(buffers))]
        options = {
            name: group[name] for name in ("weight_decay", "momentum", "lr", "dampening", "nesterov", "maximize")
        }
        sgd(
            [layout(p) for layout, p in zip(layouts, params, strict=True)],
            [layout(p.grad) for layout, p in zip(layouts, params, strict=True) if p.grad is not None],
            ordered,
            fused=group["fused"],
            foreach=group["foreach"],
            **options,
        )
        for p, before, after in zip(params, buffers, ordered, strict=False):
            if before is None and after is not None:  # the first step has made it
                self.state[p]["momentum_buffer"] = after if after.shape == p.shape else after.permute(0, 3, 1, 2)


def _in_memory_order(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what makes tensors of the layout of ``weight`` contiguous, without a copy, if anything does."""
    if weight.device.type != "cpu" or weight.dim() != 4 or weight.is_contiguous():
        return lambda tensor: tensor
    return lambda tensor: tensor.permute(0, 2, 3, 1)


def parameter_groups(config: OptimConfig, model: nn.Module, layers: Sequence[FeedbackLayer]) -> list[dict[str, Any]]:
    """Return two groups, with and without weight decay. A B that learns from the gradient is in the group of its W.

    Raises ConfigError if a learning rate is set for biases and batch-norm parameters, but there are none.
    """
    norms_and_biases = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    learned = {layer.weight: layer.feedback for layer in layers if layer.rule.update == "with_weight"}
    weights: list[Tensor] = []
    for weight in (p for p in model.parameters() if p.requires_grad and p.dim() > 1):
        # B directly after its W: the gradient that they share is still in the processor's cache
        weights += [weight, learned[weight]] if weight in learned else [weight]
    rest = config.weight_decay if config.decay_norms_and_biases else 0.0
    factor = config.lr_factor_norms_and_biases
    require(
        factor == 1 or bool(norms_and_biases),
        f"optim.lr_factor_norms_and_biases is {factor:g}, but the model has no biases and no batch norm: leave it out",
    )
    groups = [(weights, config.weight_decay, 1.0), (norms_and_biases, rest, factor)]
    return [{"params": params, "weight_decay": decay, "lr_factor": f} for params, decay, f in groups if params]


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group: ``lr`` times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)  # checkpoints of earlier versions have no factor


def clip_gradients(model: nn.Module, max_norm: float | None) -> None:
    """Scale the gradient to a norm of at most ``max_norm``; with None, leave it unchanged.

    B has no gradient yet, so it is not part of the norm. Under ``kp`` it then receives W's clipped gradient.
    """
    if max_norm is not None:
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], max_norm)
