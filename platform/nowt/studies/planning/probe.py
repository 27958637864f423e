"""The few training steps by which ``nowt plan`` measures seconds per step and the gradients of each layer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from nowt.config.run_config import RunConfig
from nowt.data.datasets import DatasetSplits
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.weight_mirror import WeightMirror
from nowt.studies.planning.alignment import mirror_share
from nowt.studies.planning.forecast import LayerMotion
from nowt.training.state import TrainingState

WARM_UP_STEPS = 6
TIMED_STEPS = 6


@dataclass(frozen=True)
class Probe:
    """What the first training steps of a cell show.

    Attributes:
        seconds: Seconds per training step, without mirror steps.
        motions: The covered layers, with the gradients of the first steps.
    """

    seconds: float
    motions: tuple[LayerMotion, ...]


def probe_training(training: TrainingState) -> Probe:
    """Train for up to twelve steps; time those after the first six, in which memory is allocated and caches fill."""
    torch.set_num_threads(training.placement.threads)
    initial = [float(layer.weight.detach().norm()) for layer in training.layers]
    steps = min(WARM_UP_STEPS + TIMED_STEPS, training.steps_per_epoch * training.config.epochs)
    batches = islice(_batches(training), steps)
    begun = time.perf_counter()
    squares = [_gradient_squares(training, x, y) for x, y in islice(batches, min(WARM_UP_STEPS, steps - 1) or 1)]
    first = (time.perf_counter() - begun) / max(len(squares), 1)
    means = [sum(column) / len(column) for column in zip(*squares, strict=True)] or [0.0] * len(initial)
    motions = tuple(map(partial(_motion, training.config), training.layers, initial, means))
    return Probe(_seconds_per_step(training, batches) or first, motions)


def _batches(training: TrainingState) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of the first epochs, one epoch after the other: an epoch may have fewer steps than it takes to
    time one."""
    while True:
        yield from training.remaining_batches()
        training.epoch, training.position = training.epoch + 1, 0


def _seconds_per_step(training: TrainingState, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Return the mean time of a step, with reading its images. Steps with mirror mode count if there are no others."""
    plain, others = list[float](), list[float]()
    begun, mirrored = time.perf_counter(), training.mirror_presentations
    for x, y in batches:
        training.train_step(x, y)
        now = time.perf_counter()
        (plain if training.mirror_presentations == mirrored else others).append(now - begun)
        begun, mirrored = now, training.mirror_presentations
    times = plain or others
    return sum(times) / len(times) if times else 0.0


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
    """Return the minutes per run, given the seconds per step without mirror mode. Evaluating an image costs a third of
    training on it; mirror mode takes its share of the operations, before learning and during it."""
    config = training.config
    times = 1 if config.test == "last" else config.epochs + 1  # epoch 0 is scored as well
    scored = len(data.val) * (config.epochs + 1) + (len(data.test) * times if data.test is not None else 0)
    return (training_seconds(training, seconds) + seconds * scored / config.batch / 3) / 60


def training_seconds(training: TrainingState, seconds: float) -> float:
    """Return the seconds of training per run, mirror mode included, given those per step without mirror mode."""
    rule = training.config.rule
    share = mirror_share(training, rule) if isinstance(rule, WeightMirror) else 0.0
    return seconds * training.steps_per_epoch * training.config.epochs / (1 - share)
