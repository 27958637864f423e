"""The few training steps by which ``nowt plan`` measures seconds per step and the gradients of each layer."""

import time
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from nowt.config.run_config import RunConfig
from nowt.data.datasets import DatasetSplits
from nowt.rules.base import FeedbackLayer
from nowt.studies.planning.forecast import LayerMotion
from nowt.training.state import TrainingState

WARM_UP_STEPS = 6
TIMED_STEPS = 6


@dataclass(frozen=True)
class Probe:
    """What the first training steps of a cell show.

    Attributes:
        seconds: Seconds per training step.
        motions: The covered layers, with the gradients of the steps before the timed ones.
    """

    seconds: float
    motions: tuple[LayerMotion, ...]


def probe_training(training: TrainingState) -> Probe:
    """Train for up to twelve steps, half of them timed; in an epoch of at most six steps, time all of them."""
    torch.set_num_threads(training.placement.threads)
    initial = [float(layer.weight.detach().norm()) for layer in training.layers]
    batches, begun = training.remaining_batches(), time.perf_counter()
    squares = [_gradient_squares(training, x, y) for x, y in islice(batches, WARM_UP_STEPS)]
    seconds = (time.perf_counter() - begun) / max(len(squares), 1)
    begun, timed = time.perf_counter(), 0
    for x, y in islice(batches, TIMED_STEPS):
        training.train_step(x, y)
        timed += 1
    seconds = (time.perf_counter() - begun) / timed if timed else seconds
    means = [sum(column) / len(column) for column in zip(*squares, strict=True)] or [0.0] * len(initial)
    return Probe(seconds, tuple(map(partial(_motion, training.config), training.layers, initial, means)))


def _gradient_squares(training: TrainingState, x: Tensor, y: Tensor) -> list[float]:
    """Do a training step; return (|gradient| |W|)² of each layer, which does not depend on |W| in a network with batch
    norm."""
    training.train_step(x, y)
    weights = [layer.weight for layer in training.layers]
    return [0.0 if w.grad is None else float(w.grad.norm() * w.detach().norm()) ** 2 for w in weights]


def _motion(config: RunConfig, layer: FeedbackLayer, initial: float, square: float) -> LayerMotion:
    """Return what moves the W of a layer, given its initial norm and the mean of (|gradient| |W|)²."""
    if initial == 0:
        return LayerMotion(layer.name, layer.fan_in, 0.0)
    gradient = layer.weight.numel() ** 0.5 / initial if config.optim.name == "adamw" else square**0.5 / initial**2
    return LayerMotion(layer.name, layer.fan_in, gradient)


def minutes_per_run(training: TrainingState, data: DatasetSplits, seconds: float) -> float:
    """Return the minutes per run. Evaluating an image costs a third of training on it."""
    config = training.config
    times = 1 if config.test == "last" else config.epochs + 1  # epoch 0 is scored as well
    scored = len(data.val) * (config.epochs + 1) + (len(data.test) * times if data.test is not None else 0)
    steps = training.steps_per_epoch * config.epochs + scored / config.batch / 3
    return seconds * steps / 60
