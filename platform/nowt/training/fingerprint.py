"""Fingerprints of values: they differ if a value was replaced by another one or changed in place.

Tensors, arrays, random generators, containers, modules, optimizers and objects of custom classes are compared by their
content; all other objects by identity. Of tensors and arrays above 64 MB, a sample of the elements is compared. Taking
a fingerprint raises nothing, whatever the value's class does.
"""

import array
import marshal
import random
import weakref
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Set
from enum import Enum
from functools import cached_property
from types import FunctionType, GeneratorType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nowt.core.source_hash import is_own_code
from nowt.rules.feedback_layer import FeedbackLayer

PLAIN = (bool, int, float, complex, str, bytes, type(None))

DEPTH = 8  # levels of containers that are compared

LARGE, SAMPLE = 64_000_000, 1_000_000  # bytes from which a sample is compared, and elements of the sample

BY_IDENTITY = (type, FunctionType, ModuleType, Enum, FeedbackLayer)

WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)  # they change when others are freed


class Identity:
    """Equals the identity of the same object alone. It keeps the object, so that no new one gets its id."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


class Bits:
    """The content of a tensor at one time. Equals that of a tensor with the same bits."""

    def __init__(self, tensor: Tensor) -> None:
        self.bits = _bits(tensor).clone()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bits) and torch.equal(self.bits, other.bits)

    __hash__ = object.__hash__


def fingerprint(value: Any) -> Any:
    """Return a value that differs if ``value`` was replaced or changed in place."""
    return _Walk().visit(value, DEPTH)


class _Walk:
    """Takes one fingerprint. What a value contains several times is compared once."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}  # by id; it keeps the values, so that no id is used twice

    def visit(self, value: Any, depth: int) -> Any:
        if isinstance(value, PLAIN):
            return plain(value)
        if id(value) in self.seen or depth == 0:
            return Identity(value)
        self.seen[id(value)] = value
        try:
            return self._content(value, depth - 1)
        except Exception:  # of the value's own class, or of a kind of tensor that has no bytes
            return Identity(value), _version(value)

    def _content(self, value: Any, depth: int) -> Any:
        if isinstance(value, (*BY_IDENTITY, *WEAK)):
            return Identity(value)
        data = _data(value)
        if data is not None:
            return data
        if isinstance(value, nn.Module):
            return self._module(value, depth)
        if isinstance(value, torch.optim.Optimizer):
            return Identity(value), self.visit(value.state_dict(), depth)
        if isinstance(value, SimpleNamespace) or is_own_code(type(value).__module__):
            return Identity(value), self._items(value, depth), self.visit(attributes(value), depth)
        return self._items(value, depth)

    def _items(self, value: Any, depth: int) -> Any:
        """Return the fingerprints of what a container contains."""
        if isinstance(value, Mapping):
            return self._sequence([*value.keys()], 1), self._sequence([*value.values()], depth)
        if isinstance(value, list | tuple | deque):
            return self._sequence(list(value), depth)
        if isinstance(value, Set):
            return frozenset(plain(item) if isinstance(item, PLAIN) else Identity(item) for item in value)
        if isinstance(value, range):
            return repr(value)
        if isinstance(value, GeneratorType):
            frame = value.gi_frame
            return frame and (frame.f_lasti, self.visit(dict(frame.f_locals), depth))
        if isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
            return self.visit(value.__reduce__(), depth)
        return Identity(value)

    def _sequence(self, values: list[Any], depth: int) -> Any:
        if {*map(type, values)} <= {*PLAIN}:
            return len(values), zlib.crc32(marshal.dumps(values, 2))  # a long list of numbers in a few milliseconds
        return [self.visit(item, depth) for item in values]

    def _module(self, value: nn.Module, depth: int) -> Any:
        if any(isinstance(each, FeedbackLayer) for each in value.modules()):
            return Identity(value)  # checkpoints contain its state
        tensors = [*value.named_parameters(), *value.named_buffers()]
        plain = [module_attributes(each) for each in value.modules()]
        return Identity(value), [(name, _data(each)) for name, each in tensors], self.visit(plain, depth)


def plain(value: Any) -> Any:
    """Return a plain value in a form in which NaN equals itself, and 1 equals neither 1.0 nor True."""
    return repr(value) if isinstance(value, float | complex) else (type(value), value)


def attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, without properties that are computed once and kept."""
    kept = {n for kind in type(value).__mro__ for n, v in vars(kind).items() if isinstance(v, cached_property)}
    slots = [name for kind in type(value).__mro__ for name in vars(kind).get("__slots__", ()) if name[:2] != "__"]
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return found | {name: each for name, each in getattr(value, "__dict__", {}).items() if name not in kept}


def module_attributes(module: nn.Module) -> dict[str, Any]:
    """Return the attributes of a module apart from its tensors, its modules, and those that every module has."""
    return {name: value for name, value in vars(module).items() if name not in _MODULE and name != "training"}


_MODULE = {*vars(nn.Module()), "_compiled_call_impl", "_is_full_backward_hook"}


def _version(value: Any) -> int | None:
    """Return how often a tensor was changed in place; None for other values, and where torch does not count it."""
    try:
        return value._version if isinstance(value, Tensor) else None
    except (RuntimeError, ValueError):  # of an inference tensor, or one that is not initialized
        return None


def _data(value: Any) -> Any:
    """Return what identifies the content of a tensor, an array or a random generator; None for other values."""
    if isinstance(value, Tensor):
        large = value.numel() * value.element_size() > LARGE
        return str(value.dtype), tuple(value.shape), _sampled(value) if large else _hash(_bits(value).cpu().numpy())
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return value.shape, repr(value.tolist())
        return str(value.dtype), value.shape, _sampled(value) if value.nbytes > LARGE else _hash(value)
    if isinstance(value, bytearray | array.array):
        return bytes(value)
    return _random_state(value)


def _sampled(value: Any) -> Any:
    """Return the content of every n-th element of a large tensor or array; its identity if it has gaps in memory."""
    count = value.numel() if isinstance(value, Tensor) else value.size
    dense = value.is_contiguous() if isinstance(value, Tensor) else value.flags.c_contiguous
    return _data(value.reshape(-1)[:: max(1, count // SAMPLE)]) if dense else Identity(value)


def _hash(value: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)


def _bits(tensor: Tensor) -> Tensor:
    """Return the bytes of a tensor. In contrast to its values, NaN equals itself."""
    return tensor.detach().reshape(-1).view(torch.uint8)


def _random_state(value: Any) -> Any:
    """Return the state of a random generator; None for other values."""
    if isinstance(value, torch.Generator):
        return hash(value.get_state().numpy().tobytes())
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    return repr(value.state) if isinstance(value, np.random.BitGenerator) else None
