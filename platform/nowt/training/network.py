"""The network of a run: the model with its rule attached, the probe batch, and the FLOPs of a training step."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nowt.config.run_config import RunConfig
from nowt.core.seeding import Seeds
from nowt.data.datasets import DatasetSplits
from nowt.data.splits import probe_batch
from nowt.layers.attach import attach
from nowt.layers.forward_pass import run
from nowt.layers.model_state import preserved_buffers, preserved_gradients
from nowt.models.registry import build_model
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.training.device import PARAMETER_DTYPES
from nowt.training.feasibility import check_batch_norm, check_output, check_shortcuts
from nowt.training.loss import compute_loss


def load_probe(config: RunConfig, data: DatasetSplits, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return images and labels of the probe batch on ``device``."""
    x, y = probe_batch(data.train, config.probe.samples)
    return x.to(device, PARAMETER_DTYPES[config.precision]), y.to(device)


def build_network(
    config: RunConfig, data: DatasetSplits, seeds: Seeds, example: Tensor, workers: int
) -> tuple[nn.Module, list[FeedbackLayer]]:
    """Build the model and attach the rule; return the model (device and dtype as ``example``) and its layers.

    Raises ValueError if the rule, the images, the classes or the number of workers do not fit the model.
    """
    assert seeds.weights is not None and seeds.feedback is not None
    model = build_model(config.model, data.shape, data.classes, seeds.weights).to(example.device, example.dtype)
    check_shortcuts(config.rule, model)
    check_batch_norm(config, model, workers)
    check_output(config.model.name, run(model, example[:2], training=False), len(example[:2]), data.classes)
    layers = attach(model, config.rule, seeds.feedback, config.model.activation, example, quiet=True)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return model, layers


def count_training_flops(model: nn.Module, x: Tensor, y: Tensor, config: RunConfig, classes: int) -> float:
    """Count the floating point operations per image of a forward and backward pass, on the probe batch.

    The model does not change. ``torch.autograd.grad`` would fail for models that pass a parameter to a module, because
    of the counter's hooks. Raises ConfigError if the model returns something else than a score for each class.
    """
    model.train()
    with preserved_buffers(model), preserved_gradients(model), FlopCounterMode(display=False) as counter:
        output = model(x)
        check_output(config.model.name, output, len(x), classes)
        compute_loss(config, output, y).backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / len(x)
