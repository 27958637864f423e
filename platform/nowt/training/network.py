"""The network of a run: the model with its rule attached, the probe batch, and the FLOPs of a training step."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nowt.config.run_config import RunConfig
from nowt.core.seeding import Seeds
from nowt.data.datasets import DatasetSplits
from nowt.data.splits import probe_batch
from nowt.layers.attach import attach
from nowt.models.registry import build_model
from nowt.rules.base import FeedbackLayer
from nowt.training.device import PARAMETER_DTYPES
from nowt.training.feasibility import check_batch_norm, check_shortcuts
from nowt.training.loss import compute_loss


def load_probe(config: RunConfig, data: DatasetSplits, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return images and labels of the probe batch on ``device``."""
    x, y = probe_batch(data.train, config.probe.samples)
    return x.to(device, PARAMETER_DTYPES[config.precision]), y.to(device)


def build_network(
    config: RunConfig, data: DatasetSplits, seeds: Seeds, example: Tensor, workers: int
) -> tuple[nn.Module, list[FeedbackLayer]]:
    """Build the model and attach the rule; return the model (device and dtype as ``example``) and its layers.

    Raises ValueError if the rule or the number of workers does not fit the model.
    """
    assert seeds.weights is not None and seeds.feedback is not None
    model = build_model(config.model, data.shape, data.classes, seeds.weights).to(example.device, example.dtype)
    check_shortcuts(config.rule, model)
    check_batch_norm(config, model, workers)
    layers = attach(model, config.rule, seeds.feedback, config.model.activation, example, quiet=True)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return model, layers


def count_training_flops(model: nn.Module, x: Tensor, y: Tensor, config: RunConfig) -> float:
    """Count the floating point operations per image of a forward and backward pass, on the probe batch."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    model.train()
    with FlopCounterMode(display=False) as counter:
        output = torch.func.functional_call(model, buffers, (x,))
        torch.autograd.grad(compute_loss(config, output, y), parameters, allow_unused=True)
    return float(counter.get_total_flops()) / len(x)
