"""Everything that a training step changes, saved and restored bit for bit: an audited step is run twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nowt.core.random_state import preserved_random_state
from nowt.training.state_form import COUNTERS

if TYPE_CHECKING:
    from nowt.training.state import TrainingState


class StepSnapshot:
    """The model, its rule, its optimizer and the counters of a run at one moment.

    Tensors keep their identity and place in memory: ``restore`` writes their numbers back. It takes the memory of the
    parameters, buffers and optimizer state once. Random generators and the images are not part of it: a step derives
    its generators from the seed and its number, and receives its batch.

    Args:
        training: The state of the run.
    """

    def __init__(self, training: "TrainingState") -> None:
        self.training = training
        model, optimizer = training.model, training.optimizer
        self.buffers = [(module, dict(module._buffers)) for module in model.modules()]
        self.gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
        self.memory = {parameter: dict(state) for parameter, state in optimizer.state.items()}
        self.groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        self.caches = [(layer, dict(layer.cache)) for layer in training.layers]
        self.counters = {name: getattr(training, name) for name in COUNTERS}
        self.images = training.totals.images
        self.cost, self.timer = _attributes(training.rule_cost), _attributes(training.timer)
        self.tensors = list({id(tensor): tensor for tensor in self._changing()}.values())
        self.values = {id(tensor): tensor.detach().clone() for tensor in self.tensors}

    def value(self, tensor: Tensor) -> Tensor:
        """Return the numbers that a tensor had."""
        return self.values[id(tensor)]

    def optimizer_state(self, parameter: Tensor) -> dict[str, Any]:
        """Return copies of what the optimizer kept of a parameter."""
        kept = self.memory.get(parameter, {})
        return {k: self.value(v).clone() if isinstance(v, Tensor) else v for k, v in kept.items()}

    @torch.no_grad()
    def restore(self) -> None:
        """Set everything to what it was."""
        training = self.training
        for module, buffers in self.buffers:
            module._buffers.update(buffers)  # a forward pass may have replaced one
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        training.optimizer.state.clear()
        training.optimizer.state.update({parameter: dict(state) for parameter, state in self.memory.items()})
        for group, settings in zip(training.optimizer.param_groups, self.groups, strict=True):
            group.update(settings)
        for layer, cache in self.caches:
            layer.cache.clear()
            layer.cache.update(cache)
        for name, value in self.counters.items():
            setattr(training, name, value)
        training.totals.images = self.images
        vars(training.rule_cost).update({name: copy(value) for name, value in self.cost.items()})
        vars(training.timer).update({name: copy(value) for name, value in self.timer.items()})
        for tensor in self.tensors:
            tensor.data.copy_(self.value(tensor))  # .data: no rule has changed it

    def _changing(self) -> Iterator[Tensor]:
        """Yield every tensor that a step changes in place."""
        yield from self.training.model.parameters()
        yield from (buffer for _, buffers in self.buffers for buffer in buffers.values() if buffer is not None)
        yield from (value for state in self.memory.values() for value in state.values() if isinstance(value, Tensor))
        yield from (self.training.totals.loss, self.training.totals.wrong)


def _attributes(instance: Any) -> dict[str, Any]:
    """Return an object's attributes, with copies of its own collections."""
    return {name: copy(value) if isinstance(value, dict | list) else value for name, value in vars(instance).items()}


@contextmanager
def rehearsed(training: "TrainingState") -> Iterator[None]:
    """Context manager of what is no part of the run: afterwards, everything that a step changes and the global random
    state are as they were before."""
    before = StepSnapshot(training)
    with preserved_random_state(training.device):
        try:
            yield
        finally:
            before.restore()
