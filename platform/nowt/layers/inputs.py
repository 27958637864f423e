"""The inputs of a forward pass: a tensor, a tuple of positional inputs, or a dictionary of keyword inputs."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from nowt.core.errors import ConfigError

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return ``model(x)``, ``model(*inputs)`` or ``model(**inputs)``."""
    args, kwargs = _arguments(inputs)
    return model(*args, **kwargs)


def check_inputs(model: nn.Module, inputs: object, name: str) -> None:
    """Raise ConfigError unless ``inputs``, which the caller knows as ``name``, can be arguments of the model."""
    if not isinstance(inputs, Tensor | tuple | Mapping):
        raise ConfigError(
            f"{name} is a {type(inputs).__name__}: it must be a tensor, a tuple of positional inputs or a dictionary "
            "of keyword inputs; put any other single input into a tuple, as (batch,)"
        )
    args, kwargs = _arguments(inputs)
    try:
        signature = inspect.signature(model.forward)
    except ValueError:  # of a function that is not written in Python
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ConfigError(f"{name} ({describe(inputs)}) does not fit {type(model).__name__}.forward: {error}") from None


def describe(inputs: Inputs) -> str:
    """Return the shape of the input, or the shapes of the inputs by name; for other inputs, their types."""
    args, kwargs = _arguments(inputs)
    parts = [*map(_shape, args), *(f"{name} {_shape(value)}" for name, value in kwargs.items())]
    if isinstance(inputs, Tensor):
        return f"shape {parts[0]}"
    return f"shapes {', '.join(parts)}" if parts else "no inputs"


def map_tensors(change: Callable[[Tensor], Any], inputs: Inputs) -> Inputs:
    """Return the inputs with ``change(tensor)`` in place of each tensor, also within lists and dictionaries."""
    plain = inputs if isinstance(inputs, Tensor | tuple) else dict(inputs)
    changed: Inputs = tree_map(lambda value: change(value) if isinstance(value, Tensor) else value, plain)
    return changed


def device_of(model: nn.Module, inputs: Inputs) -> torch.device:
    """Return the device of the first tensor among the inputs and the model's parameters."""
    args, kwargs = _arguments(inputs)
    tensors = (value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor))
    found = next(tensors, None)
    return found.device if found is not None else next(model.parameters()).device


def _arguments(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    return (inputs, {}) if isinstance(inputs, tuple) else ((), dict(inputs))


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
