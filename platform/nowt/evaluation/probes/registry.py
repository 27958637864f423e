"""Finds a metric by name, file or entry point, and calls it with the inputs that it names."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nowt.core.errors import ConfigError, did_you_mean, require
from nowt.core.plugins import existing_spec, load_object, module_of
from nowt.evaluation.probes.metric_code import metric_digest

if TYPE_CHECKING:
    from torch import Tensor

BUILT_IN = ("gradient_cosine", "weight_change", "cka")  # each a module of nowt.evaluation.probes.metrics

INPUTS = {
    "model": "the network as saved in the checkpoint, in eval mode, with its rule attached",
    "x": "images, (n, channels, height, width), normalized",
    "y": "labels, (n,)",
    "loss": "loss(output, y), the run's mean loss",
    "start": "the network before learning",
    "reference": "the network of the study's reference cell, at the same seed and epoch",
}

# errors in a metric's code that are reported in one line; others keep their traceback
METRIC_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Metric:
    """A metric's function with the inputs that it requires."""

    name: str
    function: Callable[..., Mapping[str, float]]
    digest: str  # hash of its code: after an edit, everything is measured again
    required_inputs: frozenset[str]  # names of INPUTS

    def compute(self, inputs: Mapping[str, Any], where: str) -> dict[str, float | None]:
        """Return the metric's numbers by name, with None for undefined ones.

        Raises:
            ConfigError: If the metric's code fails; the message contains ``where``.
        """
        try:
            found = self.function(**{name: inputs[name] for name in self.required_inputs})
            return {str(name): _finite(value) for name, value in _checked(found).items()}
        except METRIC_ERRORS as error:
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{self.name} {where} raised {type(error).__name__}: {reason}") from error


def metric_names() -> list[str]:
    """Return the names of the built-in metrics, then of those in installed packages."""
    return [*BUILT_IN, *sorted(point.name for point in entry_points(group="nowt.probes"))]


def find_metric(spec: str) -> Metric:
    """Return the metric with this name, or a custom one: ``FILE.py``, ``FILE.py:FUNCTION`` or ``module:FUNCTION``.

    Raises:
        ConfigError: If there is none; the message suggests the nearest name.
    """
    check_metric(spec)
    if spec in BUILT_IN:
        module = import_module(f"nowt.evaluation.probes.metrics.{spec}")
        return _metric(spec, module.measure, metric_digest(module))
    if ":" in spec or spec.endswith(".py"):
        place, _, name = (spec, "", "") if spec.endswith(".py") else spec.rpartition(":")
        return _metric(name or Path(place).stem, load_object(spec, "measure"), metric_digest(module_of(spec)))
    point = entry_points(group="nowt.probes")[spec]
    return _metric(spec, point.load(), metric_digest(import_module(point.module)))


def check_metric(spec: str) -> None:
    """Raise ConfigError, as ``find_metric`` does, for an unknown name or a missing file. The metric is not imported."""
    if ":" in spec or spec.endswith(".py"):
        existing_spec(spec)
        return
    names = metric_names()
    if spec in names:
        return
    available = ", ".join(names)
    raise ConfigError(
        f"unknown metric {spec!r}{did_you_mean(spec, names)}; available: {available}, or your own FILE.py"
    )


def _metric(name: str, function: Any, digest: str) -> Metric:
    require(inspect.isfunction(function), f"metric {name} is a {type(function).__name__}: it must be a function")
    return Metric(name, function, digest, frozenset(_required_inputs(name, function)))


def _required_inputs(name: str, function: Callable[..., Any]) -> list[str]:
    """Return the inputs among the function's arguments. Raises ConfigError for an argument that is no input."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for parameter in parameters:
        if parameter.name not in INPUTS and parameter.default is parameter.empty:
            near = did_you_mean(parameter.name, INPUTS)
            raise ConfigError(
                f"metric {name} has an unknown argument {parameter.name!r}{near}; available: {', '.join(INPUTS)}"
            )
    return [parameter.name for parameter in parameters if parameter.name in INPUTS]


def _checked(found: Any) -> Mapping[str, float]:
    if not isinstance(found, Mapping) or not found:
        raise TypeError(f"it returned {found!r}; it must return numbers by name, such as {{'all': 0.5}}")
    return found


def _finite(value: "float | Tensor") -> float | None:
    number = float(value.detach() if hasattr(value, "detach") else value)
    return number if math.isfinite(number) else None
