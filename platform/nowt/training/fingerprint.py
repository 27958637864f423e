"""Fingerprints of values: they differ if a value was replaced by another one or changed in place."""

import itertools
import random
from collections import deque
from collections.abc import Mapping, Set
from functools import cached_property
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nowt.core.source_hash import is_own_code
from nowt.rules.base import FeedbackLayer

PLAIN = (bool, int, float, complex, str, bytes, type(None))

DEPTH = 4  # levels of containers that are compared


class Bits:
    """The content of a tensor at one time. Equals that of a tensor with the same bits."""

    def __init__(self, tensor: Tensor) -> None:
        self.bits = _bits(tensor).clone()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bits) and torch.equal(self.bits, other.bits)

    __hash__ = object.__hash__


class _Identity:
    """Equals the identity of the same object alone. It keeps the object, so that no new one gets its id."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    __hash__ = object.__hash__


def fingerprint(value: Any, depth: int = DEPTH) -> Any:
    """Return a value that differs if ``value`` was replaced or changed in place.

    Tensors, arrays, random generators, containers, modules of torch and objects of custom classes are compared by their
    content; all other objects by identity and length.
    """
    if isinstance(value, PLAIN):
        return repr(value)  # NaN equals itself
    content = _content(value)
    if content is not None:
        return content
    if depth == 0:
        return _Identity(value)
    if isinstance(value, Mapping):
        return [(fingerprint(key, 1), fingerprint(item, depth - 1)) for key, item in value.items()]
    if isinstance(value, list | tuple | deque):
        return [fingerprint(item, depth - 1) for item in value]
    if isinstance(value, GeneratorType) and value.gi_frame is not None:
        return value.gi_frame.f_lasti, fingerprint(dict(value.gi_frame.f_locals), depth - 1)
    if isinstance(value, Set):
        return sorted(map(repr, value))
    if isinstance(value, nn.Module):
        trained = any(isinstance(each, FeedbackLayer) for each in value.modules())  # checkpoints contain its state
        return _Identity(value) if trained else fingerprint(value.state_dict(), depth)
    if is_own_code(type(value).__module__) and hasattr(value, "__dict__"):
        return [_Identity(value), fingerprint(attributes(value), depth - 1)]
    return _Identity(value), len(value) if hasattr(value, "__len__") else 0


def attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, without properties that are computed once and kept."""
    cached = {n for kind in type(value).__mro__ for n, v in vars(kind).items() if isinstance(v, cached_property)}
    return {name: each for name, each in vars(value).items() if name not in cached}


def _content(value: Any) -> Any:
    """Return what identifies the content of a tensor, an array or a random generator; None for other values."""
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), hash(_bits(value).cpu().numpy().tobytes())
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, repr(value.tolist()) if value.dtype.hasobject else hash(value.tobytes())
    if isinstance(value, torch.Generator):
        return hash(value.get_state().numpy().tobytes())
    if isinstance(value, random.Random):
        return hash(value.getstate())
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    return None


def _bits(tensor: Tensor) -> Tensor:
    """Return the bytes of a tensor. In contrast to its values, NaN equals itself."""
    return tensor.detach().reshape(-1).view(torch.uint8)
