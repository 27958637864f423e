"""What a measure is, and how one is found by name, file or entry point."""

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from torch import Tensor

from nowt.core.errors import ConfigError, nearest, require
from nowt.core.plugins import load_object

SHIPPED = ("gradient_cosine", "weight_change", "cka")

OFFERED = {
    "model": "the network as the checkpoint has it, in eval mode, its rule attached",
    "x": "pictures, (n, channels, height, width), normalised",
    "y": "their labels, (n,)",
    "loss": "loss(output, y): the run's own mean loss",
    "start": "the network before learning",
    "reference": "the network of the study's reference cell, at the same seed and epoch",
}

# what the code of a measure may raise; anything else keeps its traceback
RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Measure:
    """A measure, and what it asks for."""

    name: str
    function: Callable[..., Mapping[str, float]]
    digest: str  # of its file: an edited one measures anew
    asks: frozenset[str]  # names of OFFERED

    def of(self, offered: Mapping[str, Any], where: str) -> dict[str, float | None]:
        """Its numbers, undefined ones as None. Raises ConfigError, naming ``where``, for what goes wrong in it."""
        try:
            found = self.function(**{name: offered[name] for name in self.asks})
            return {str(name): _finite(value) for name, value in _numbers(found).items()}
        except RAISED as error:
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{self.name} {where} raised {type(error).__name__}: {reason}") from error


def names() -> list[str]:
    """Every measure's name: shipped, then those of installed packages."""
    return [*SHIPPED, *sorted(point.name for point in entry_points(group="nowt.probes"))]


def find(spec: str) -> Measure:
    """The measure called ``spec``, or one of the user's own. Raises ConfigError naming the nearest."""
    if spec in SHIPPED:
        return _measure(spec, import_module(f"nowt.evaluation.probes.metrics.{spec}").measure)
    if ":" in spec or spec.endswith(".py"):
        place, _, name = (spec, "", "") if spec.endswith(".py") else spec.rpartition(":")
        return _measure(name or Path(place).stem, load_object(spec, "measure"))
    for point in entry_points(group="nowt.probes"):
        if point.name == spec:
            return _measure(spec, point.load())
    there = ", ".join(names())
    raise ConfigError(f"there is no metric {spec!r}{nearest(spec, names())}; there are: {there}, or a FILE.py of yours")


def _measure(name: str, function: Any) -> Measure:
    require(inspect.isfunction(function), f"metric {name} is a {type(function).__name__}: it must be a function")
    file = inspect.getsourcefile(function)
    digest = hashlib.sha256(Path(file).read_bytes() if file else b"").hexdigest()[:12]
    return Measure(name, function, digest, frozenset(_asked(name, function)))


def _asked(name: str, function: Callable[..., Any]) -> list[str]:
    """The arguments it is given. Raises ConfigError for one that is not offered."""
    given = [p for p in inspect.signature(function).parameters.values() if p.kind not in (p.VAR_KEYWORD,)]
    for parameter in given:
        if parameter.name not in OFFERED and parameter.default is parameter.empty:
            near = nearest(parameter.name, OFFERED)
            raise ConfigError(f"metric {name} asks for {parameter.name!r}{near}; it can be given: {', '.join(OFFERED)}")
    return [parameter.name for parameter in given if parameter.name in OFFERED]


def _numbers(found: Any) -> Mapping[str, float]:
    if not isinstance(found, Mapping) or not found:
        raise TypeError(f"it returned {found!r}; it must return numbers by name, such as {{'all': 0.5}}")
    return found


def _finite(value: float | Tensor) -> float | None:
    number = float(value.detach() if isinstance(value, Tensor) else value)
    return number if math.isfinite(number) else None
