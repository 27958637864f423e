"""A training step with a W that no activity shows to be another one."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nowt.layers.mirror_mode import response
from nowt.layers.model_state import preserved_buffers
from nowt.layers.null_space import Inputs, move_in_null_space, recorded_inputs
from nowt.layers.poisoning import poisoned
from nowt.layers.private_weights import layers_with_private_weights
from nowt.rules.feedback_layer import FeedbackLayer
from nowt.rules.mirror_noise import MirrorNoise
from nowt.training.device import autocast

if TYPE_CHECKING:
    from nowt.training.state import TrainingState

Weights = dict[str, Tensor]  # copies of W, by layer name


@dataclass(frozen=True)
class Changed:
    """The layers whose W a step was done with changed.

    Attributes:
        moved: Those whose W was moved where this batch's inputs do not show it.
        hidden: Those whose W held other numbers outside of the forward map, the mirror map and the optimizer's step.
    """

    moved: Sequence[FeedbackLayer]
    hidden: Sequence[FeedbackLayer]


def choose(training: "TrainingState", x: Tensor) -> tuple[Changed, Inputs]:
    """Return how W is changed in a step on this worker's images ``x``, and the inputs of the layers that are moved.

    A layer is moved if the batch has fewer samples and positions than the layer has inputs, and if products are exact
    to the rounding of W's format: those of bfloat16 and TensorFloat-32 would show the change.
    """
    private = layers_with_private_weights(training.model, training.layers)
    few = [layer for layer, rows in _rows(training, private, x) if rows < layer.fan_in] if _is_exact(training) else []
    with recorded_inputs(few) as inputs:
        if few:
            _forward(training, x)
    moved = [layer for layer in few if layer.name in inputs]
    return Changed(moved, [layer for layer in private if layer not in moved]), inputs


def do_changed_step(
    training: "TrainingState", x: Tensor, y: Tensor, changed: Changed, inputs: Inputs, true: Weights
) -> None:
    """Do a training step with changed W, drawn from the operating system's randomness. Mirror noise is answered with
    ``true``, which is W after the step."""
    generator = torch.Generator().manual_seed(secrets.randbits(63))
    for layer in changed.moved:
        move_in_null_space(layer.weight, inputs[layer.name], generator)
    names = {layer.name for layer in changed.moved}
    before = training.forward, training.respond
    training.forward, training.respond = training.eager, partial(_respond, {name: true[name] for name in names})
    try:
        with poisoned(changed.hidden, training.optimizer, generator):
            training.train_step(x, y)
    finally:
        training.forward, training.respond = before


def _rows(training: "TrainingState", layers: Sequence[FeedbackLayer], x: Tensor) -> Iterator[tuple[FeedbackLayer, int]]:
    """Yield each layer that the forward pass calls, with the number of samples and positions that it maps."""
    found = dict[FeedbackLayer, int]()
    first = {one: layer for layer in layers for one in (layer, *layer.tied)}

    def count(layer: FeedbackLayer, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found[first[layer]] = found.get(first[layer], 0) + output.numel() // len(layer.weight)

    hooks = [layer.register_forward_hook(count) for layer in first]
    try:
        _forward(training, x)
    finally:
        for hook in hooks:
            hook.remove()
    yield from found.items()


def _forward(training: "TrainingState", x: Tensor) -> None:
    """Do the forward pass of the coming step, which changes nothing."""
    training.seed_step()
    with torch.no_grad(), preserved_buffers(training.model), autocast(training.device, training.config.precision):
        training.model(x.clone())


def _is_exact(training: "TrainingState") -> bool:
    if training.config.precision == "float64":
        return True
    tf32 = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    return training.config.precision == "float32" and (training.device.type == "cpu" or not tf32)


@torch.no_grad()
def _respond(true: Weights, layer: FeedbackLayer, noise: MirrorNoise, x: Tensor) -> Tensor:
    """Return the response of a layer with its true W."""
    with _true_weight(layer, true):
        return response(layer, noise, x)


@contextmanager
def _true_weight(layer: FeedbackLayer, true: Weights) -> Iterator[None]:
    if layer.name not in true:
        yield
        return
    changed = layer.weight.data.clone()
    layer.weight.data.copy_(true[layer.name])
    try:
        yield
    finally:
        layer.weight.data.copy_(changed)
