"""Runs a model without changing it: its modes, its running statistics and the random state are restored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from nowt.core.random_state import preserved_random_state

Modes = Mapping[nn.Module, bool]  # whether a module is in train mode


def modes_of(model: nn.Module) -> Modes:
    """Return the mode of each module."""
    return {module: module.training for module in model.modules()}


@contextmanager
def in_mode(model: nn.Module, training: bool | Modes) -> Iterator[None]:
    """Set every module to train or eval mode, or to its own one, and restore each module's mode after the block."""
    before = modes_of(model)
    try:
        if isinstance(training, bool):
            model.train(training)
        else:
            _set_modes(training)
        yield
    finally:
        _set_modes(before)


def _set_modes(modes: Modes) -> None:
    for module, training in modes.items():
        module.training = training  # train() would set the modules within it, too


@contextmanager
def preserved_buffers(model: nn.Module) -> Iterator[None]:
    """Restore the model's buffers, such as batch norm's running statistics, after the block.

    The model itself is used in the block. With copies in its place (``functional_call``), a checkpointed part that runs
    again in the backward pass would update the model's own buffers.
    """
    before = [(module, name, buffer) for module in model.modules() for name, buffer in module._buffers.items()]
    values = [(buffer, buffer.clone()) for *_, buffer in before if buffer is not None]
    try:
        yield
    finally:
        for module, name, buffer in before:
            module._buffers[name] = buffer  # a forward pass may have replaced it
        for buffer, value in values:
            buffer.data.copy_(value)  # .data: a buffer that is restored does not count as changed by a rule


@contextmanager
def preserved_gradients(model: nn.Module) -> Iterator[None]:
    """Set the gradients of all parameters to None within the block, and restore them afterwards."""
    before = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        for parameter, _ in before:
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in before:
            parameter.grad = gradient


@contextmanager
def preserved_attributes(modules: Iterable[nn.Module], except_for: str = "") -> Iterator[None]:
    """Restore the modules' attributes after the block, except for one."""
    before = [(module, dict(vars(module))) for module in modules]
    try:
        yield
    finally:
        for module, attributes in before:
            kept = {name: value for name, value in vars(module).items() if name == except_for}
            module.__dict__.clear()
            module.__dict__.update(attributes | kept)


def gradients_of(
    compute: Callable[[], Tensor], ends: Sequence[Tensor | GradientEdge], model: nn.Module
) -> list[Tensor | None]:
    """Return the gradients of the scalar ``compute()``, which runs ``model``, with respect to leaf tensors.

    ``ends`` may also contain edges of the graph, to which ``compute`` adds: the gradient is passed back to them, too.
    Gradients that the parameters already have do not change.
    """
    device = next(model.parameters()).device
    try:
        with preserved_random_state(device):  # for a second attempt
            output = compute()
            return list(torch.autograd.grad(output, ends, allow_unused=True))  # type: ignore[arg-type]
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
    with preserved_gradients(model):  # reentrant checkpointing supports only backward()
        compute().backward()  # type: ignore[no-untyped-call]
        return [end.grad if isinstance(end, Tensor) else None for end in ends]
