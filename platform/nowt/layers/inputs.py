"""The inputs of a forward pass: a tensor, a tuple of positional inputs, or a dictionary of keyword inputs."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from nowt.core.errors import ConfigError

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]

OF_DTYPES = ("same dtype", "should be the same")  # what torch says if a layer's input and weights differ in dtype


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return ``model(x)``, ``model(*inputs)`` or ``model(**inputs)``."""
    args, kwargs = _arguments(inputs)
    return model(*args, **kwargs)


def check_inputs(model: nn.Module, inputs: object, name: str) -> None:
    """Raise ConfigError unless ``inputs``, which the caller knows as ``name``, can be arguments of the model."""
    if not isinstance(inputs, Tensor | tuple | Mapping):
        advice = "put any other single input into a tuple, as (batch,)"
        if hasattr(inputs, "__array__"):  # of NumPy, pandas, JAX or an image
            advice = f"convert it, as torch.as_tensor({name}, dtype=torch.float32)"
        raise ConfigError(
            f"{name} is a {type(inputs).__name__}: it must be a tensor, a tuple of positional inputs or a dictionary "
            f"of keyword inputs; {advice}"
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


def mismatch(model: nn.Module, inputs: Inputs, reason: str) -> str:
    """Return how to convert ``inputs`` so that the model can run on them.

    It is empty if they are tensors with the device and dtype of the weights, or if ``reason`` is about something else.
    A model may convert its inputs itself, so this explains only an error that has occurred.
    """
    leaves = tree_leaves(_arguments(inputs))
    for leaf in leaves:
        if hasattr(leaf, "__array__") and not isinstance(leaf, Tensor):
            return f"it contains a {type(leaf).__name__}: convert it by torch.as_tensor(..., dtype=torch.float32)"
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        return ""
    for tensor in tensors:
        if tensor.device != weight.device:
            return f"it is on {tensor.device} and the model on {weight.device}: move both to one device by .to(...)"
    for tensor in tensors:
        if tensor.dtype != weight.dtype and any(words in reason for words in OF_DTYPES):
            return f"it is {tensor.dtype} and the model {weight.dtype}: convert it by .to({weight.dtype})"
    return ""


@contextmanager
def explained(model: nn.Module, inputs: Inputs, name: str) -> Iterator[None]:
    """Raise ConfigError if the block fails because ``inputs`` are of another device or dtype than the model."""
    try:
        yield
    except (AttributeError, RuntimeError, TypeError) as error:
        if line := mismatch(model, inputs, str(error)):
            raise ConfigError(f"{name} ({describe(inputs)}) does not fit the model: {line}") from error
        raise


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
