"""The tensors that a training step can reach, and how much they differ between two runs of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DEPTH = 8  # of objects within objects; deeper ones are not looked into

Named = dict[str, Tensor]


@dataclass(frozen=True)
class StepResult:
    """What one step did: gradients after it, and by how much every tensor changed (float64 copies), by name."""

    gradients: Named
    changes: Named
    sizes: dict[str, float]  # norm of each tensor in ``changes``, after the step


def reachable_tensors(model: nn.Module, step: Callable[[], Any]) -> Named:
    """Return the tensors and NumPy arrays in the model, and in the objects that the step refers to, by name.

    These are parameters, buffers and attributes of the model's modules, and what the step's variables refer to: its
    closure, its object and the global variables that it uses, such as optimizers, lists and dictionaries.
    """
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    found = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    known = {id(value) for value in found.values()}
    roots = [(f"{name}." if name else "", vars(module)) for name, module in model.named_modules()]
    for prefix, attributes in roots:
        for key, value in attributes.items():
            if not key.startswith("_"):
                found |= dict(_tensors(f"{prefix}{key}", value, known, DEPTH))
    return found | dict(_tensors("step", step, known, DEPTH))


def _tensors(name: str, value: Any, known: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
    if id(value) in known or depth == 0 or isinstance(value, str | bytes | int | float | type | ModuleType | nn.Module):
        return
    known.add(id(value))
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "biuf":
            yield name, torch.from_numpy(value)
    else:
        for key, inner in _parts(value):
            yield from _tensors(f"{name}.{key}" if key else name, inner, known, depth - 1)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object refers to."""
    if isinstance(value, Mapping):
        yield from ((str(i), inner) for i, inner in enumerate(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((str(i), inner) for i, inner in enumerate(value))
    elif isinstance(value, partial):
        yield from (("", value.func), ("", value.args), ("", value.keywords))
    elif isinstance(value, MethodType):
        yield from (("", value.__self__), ("", value.__func__))
    elif isinstance(value, FunctionType):
        yield from _variables(value)
    elif not type(value).__module__.startswith(("torch.utils", "builtins")) and hasattr(value, "__dict__"):
        yield from vars(value).items()


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield from ((str(i), value) for i, value in enumerate(function.__defaults__ or ()))
    used = function.__code__.co_names
    yield from ((name, function.__globals__[name]) for name in used if name in function.__globals__)


def differences(one: StepResult, other: StepResult) -> dict[str, float]:
    """Return the relative difference, from 0 to 2, of each gradient and of each tensor's change in two runs of a step.

    What is below a millionth of a typical one is compared with that, since it may be rounding alone. A gradient or
    change that only one run has, or that is not finite, differs by infinity.
    """
    found = _relative("gradient of ", one.gradients, other.gradients, {})
    idle = {name for name, value in one.gradients.items() if float(value.norm()) < 1e-12 * _typical(one.gradients)}
    # an adaptive optimizer turns rounding in a gradient that is 0 into steps of full size
    kept = {name: value for name, value in one.changes.items() if name not in idle}
    theirs = {name: value for name, value in other.changes.items() if name not in idle}
    return found | _relative("change of ", kept, theirs, one.sizes)


def _relative(what: str, one: Named, other: Named, sizes: Mapping[str, float]) -> dict[str, float]:
    floor = 1e-6 * _typical(one) + 1e-30
    found = {}
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        if a is None or b is None or a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
            found[what + name] = float("inf")
            continue
        size = max(float(a.norm()), float(b.norm()), floor, 1e-5 * sizes.get(name, 0.0))
        found[what + name] = float((a - b).norm()) / size
    return found


def _typical(values: Named) -> float:
    """Return the median norm of those that are not 0: one huge tensor, which may have no part in learning, must not
    make all others look like rounding."""
    return median([norm for value in values.values() if (norm := float(value.norm())) > 0] or [0.0])
