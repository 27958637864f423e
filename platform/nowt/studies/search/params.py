"""Parameters of a search: one config field each, with a range of numbers or a choice of values. Data only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nowt.config.overrides import value_at
from nowt.config.run_config import RunConfig
from nowt.config.run_key import model_identity
from nowt.core.errors import require
from nowt.core.fields import check_type, field_types, make_plain
from nowt.core.plugins import absolute_spec

IN_EPOCHS = ("optim.warmup", "optim.milestones")  # fields whose values are epochs

Value = float | int | str | bool | None | tuple[Any, ...]


MODEL = "model.name"

TINY = 1e-300  # with which no ratio of two values of a field overflows


def _from_here(path: str, value: Any) -> Any:
    """Return the value; a custom model with an absolute path, since trials are drawn when no file is being run."""
    return absolute_spec(value) if path == MODEL and isinstance(value, str) else value


def check_fields(given: Any, prefix: str, names: Sequence[str]) -> None:
    """Raise ConfigError for the first of these fields whose value has the wrong type."""
    for name in names:
        check_type(field_types(type(given))[name], getattr(given, name), f"{prefix}{name}", strict=True)


def _check_path(what: str, path: Any) -> None:
    line = f"{what} is {path!r}: it must be a field's dotted path, such as 'optim.schedule'"
    require(isinstance(path, str) and bool(path), line)


@dataclass(frozen=True)
class When:
    """A condition: a parameter exists only if another field has a given value.

    Args:
        path: Dotted path of the other field, such as ``"optim.schedule"``. If that field is searched, too, its
            parameter must come before the conditional one.
        value: The value that the field must have.

    Raises:
        ConfigError: If the path is no text, or empty.

    Example:
        >>> from nowt import Choice, When
        >>> schedule = Choice("optim.schedule", ("cosine", "step"))
        >>> milestones = Choice("optim.milestones", ((6.0,), (8.0, 10.0)), when=When("optim.schedule", "step"))
    """

    path: str
    value: Value

    def __post_init__(self) -> None:
        make_plain(self)
        _check_path("when.path", self.path)
        object.__setattr__(self, "value", _from_here(self.path, self.value))


@dataclass(frozen=True)
class Range:
    """A parameter with a number between ``low`` and ``high``, both included.

    Args:
        path: Dotted path of a field of the base config, such as ``"optim.lr"`` (``nowt train RECIPE --fields`` lists
            them).
        low: Lowest value, in the unit of the field.
        high: Highest value; must be above ``low``.
        log: Sample on a logarithmic scale, which requires ``low > 0``. Recommended for learning rates, weight decay
            and whatever else varies over more than one decade. Default: ``False``.
        integer: Sample integers; required if the field is an integer. Default: ``False``.
        times: Dotted path of another number. The field gets the sampled number multiplied by it, so that a ratio is
            searched. It is ``"rule.decay"`` for the gain η/λ of weight mirror. Default: ``""``, the number itself.
        when: Condition under which the parameter exists. Default: ``None``, always.

    Raises:
        ConfigError: If the range is empty or not finite, or if the settings contradict each other.

    Example:
        >>> from nowt import Range
        >>> learning_rate = Range("optim.lr", 0.005, 0.5, log=True)
        >>> samples = Range("rule.samples", 4, 64, log=True, integer=True)
        >>> decay = Range("rule.decay", 0.01, 0.5, log=True)
        >>> gain = Range("rule.eta", 0.3, 3.0, log=True, times="rule.decay")  # after decay in the cell's parameters
        >>> gain.name
        'rule.eta/rule.decay'
    """

    path: str
    low: float
    high: float
    log: bool = False
    integer: bool = False
    times: str = ""
    when: When | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        _check_path("Range: path", self.path)
        check_fields(self, f"Range({self.path!r}): ", ("path", "low", "high", "log", "integer", "times", "when"))
        given = f"{self.path} ranges from {self.low} to {self.high}"
        require(math.isfinite(self.low) and math.isfinite(self.high), f"{given}: both ends must be finite numbers")
        require(self.low < self.high, f"{given}: low must be below high")
        integers = self.low % 1 == 0 and self.high % 1 == 0
        require(not self.integer or integers, f"{given}: with integer=True both ends must be integers")
        require(not self.log or self.low > 0, f"{given}: with log=True low must be above 0")
        small = f"{given}: with log=True low is too small: high / low is infinite: give {TINY:g} or more"
        require(not self.log or math.isfinite(float(self.high) / self.low), small)
        both = f"{self.path} cannot have both integer=True and times={self.times!r}"
        require(not (self.integer and self.times), both)
        itself = f"{self.path} is a multiple of itself (times): leave times out, or name another field"
        require(self.times != self.path, itself)

    @property
    def name(self) -> str:
        """The parameter's name in Optuna."""
        return f"{self.path}/{self.times}" if self.times else self.path

    @property
    def extremes(self) -> tuple[Value, ...]:
        """The lowest and the highest value."""
        kind = int if self.integer else float
        return kind(self.low), kind(self.high)


@dataclass(frozen=True)
class Choice:
    """A parameter with one of several values.

    Args:
        path: Dotted path of a field of the base config, such as ``"optim.schedule"``.
        values: Two or more distinct values of any type that the field takes. A value may be a tuple; a list is turned
            into one.
        when: Condition under which the parameter exists. Default: ``None``, always.

    Raises:
        ConfigError: If there are fewer than two values, or if a value occurs twice.

    Example:
        >>> from nowt import Choice
        >>> Choice("rule.noise", ("normal", "uniform", "sign")).name
        'rule.noise'
    """

    path: str
    values: tuple[Value, ...]
    when: When | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        _check_path("Choice: path", self.path)
        check_fields(self, f"Choice({self.path!r}): ", ("path", "values", "when"))
        object.__setattr__(self, "values", tuple(_from_here(self.path, value) for value in self.values))
        require(len(self.values) > 1, f"{self.path} has the values {self.values}: give two or more")
        for i, (value, label) in enumerate(zip(self.values, self.labels, strict=True)):
            repeated = value in self.values[:i] or label in self.labels[:i]
            require(not repeated, f"{self.path} has the values {self.values}: {value!r} occurs twice")

    @property
    def name(self) -> str:
        """The parameter's name in Optuna."""
        return self.path

    @property
    def extremes(self) -> tuple[Value, ...]:
        """Every value."""
        return self.values

    @property
    def labels(self) -> tuple[str | int | float | bool | None, ...]:
        """The values as Optuna stores them: a tuple as its text."""
        return tuple(str(value) if isinstance(value, tuple) else value for value in self.values)


Param = Range | Choice


def is_active(param: Param, config: RunConfig, values: Mapping[str, Value]) -> bool:
    """Return whether ``param`` is active over the base ``config``, given the preceding ``values``."""
    when = param.when
    if when is None:
        return True
    found = values.get(when.path, value_at(config, when.path))
    return bool(found == when.value)


def scale_epochs(param: Param, ratio: float) -> Param:
    """Return the parameter for runs ``ratio`` times as long: values that are epochs are multiplied by it."""
    if ratio == 1:
        return param
    if param.when and param.when.path in IN_EPOCHS:
        param = replace(param, when=When(param.when.path, _scaled(param.when.value, ratio)))
    if param.path not in IN_EPOCHS:
        return param
    if isinstance(param, Range):
        return replace(param, low=param.low * ratio, high=param.high * ratio)
    return replace(param, values=tuple(_scaled(value, ratio) for value in param.values))


def _scaled(epochs: Any, ratio: float) -> Value:
    # not rounded: rounding would change the study key
    return tuple(each * ratio for each in epochs) if isinstance(epochs, tuple) else epochs * ratio


def param_to_json(param: Param) -> dict[str, Any]:
    """Return the parameter as plain JSON data."""
    return {"kind": type(param).__name__.lower(), **asdict(param)}


def identify_param(param: Param) -> dict[str, Any]:
    """Return what the parameter contributes to a search's key: its JSON data, with custom models by their code."""
    data = param_to_json(param)
    if param.path == MODEL:
        data["values"] = [model_identity(value) for value in data["values"]]
    if param.when is not None and param.when.path == MODEL:
        data["when"]["value"] = model_identity(data["when"]["value"])
    return data
