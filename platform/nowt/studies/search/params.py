"""What a search varies: one field of a base config, over a range of numbers or a choice of values. Data only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nowt.config.overrides import value_at
from nowt.config.run_config import RunConfig
from nowt.core.errors import require
from nowt.core.fields import check, field_types

IN_EPOCHS = ("optim.warmup", "optim.milestones")

Value = float | int | str | bool | None | tuple[Any, ...]


def checked(given: Any, prefix: str, names: Sequence[str]) -> None:
    """Raise ConfigError for the first of these fields that is not of its type; Python does not look at a Literal."""
    for name in names:
        check(field_types(type(given))[name], getattr(given, name), f"{prefix}{name}", strict=True)


@dataclass(frozen=True)
class When:
    """A parameter exists only where the field at ``path`` is ``value``."""

    path: str
    value: Value


@dataclass(frozen=True)
class Range:
    """A number between ``low`` and ``high``, on a linear or a logarithmic scale.

    With ``times`` the field gets the number multiplied by that other field's value: the gain c = η/λ of weight mirror
    is Range("rule.eta", 0.1, 10, log=True, times="rule.decay"), after the parameter of "rule.decay".
    """

    path: str
    low: float
    high: float
    log: bool = False
    integer: bool = False
    times: str = ""
    when: When | None = None

    def __post_init__(self) -> None:
        checked(self, f"Range({self.path!r}): ", ("path", "low", "high", "log", "integer", "times", "when"))
        ends = f"{self.path} ranges from {self.low} to {self.high}"
        require(math.isfinite(self.low) and math.isfinite(self.high), f"{ends}: both ends must be finite numbers")
        require(self.low < self.high, f"{ends}: low must be below high")
        whole = self.low % 1 == 0 and self.high % 1 == 0
        require(not self.integer or whole, f"{ends}: with integer=True both ends must be whole numbers")
        require(not self.log or self.low > 0, f"{self.path} starts at {self.low}: a log scale starts above 0")
        require(not (self.integer and self.times), f"{self.path} is a whole number: it cannot be a multiple")

    @property
    def name(self) -> str:
        """What Optuna calls it."""
        return f"{self.path}/{self.times}" if self.times else self.path

    @property
    def ends(self) -> tuple[Value, ...]:
        """The lowest and the highest value."""
        kind = int if self.integer else float
        return kind(self.low), kind(self.high)


@dataclass(frozen=True)
class Choice:
    """One of ``values``."""

    path: str
    values: tuple[Value, ...]
    when: When | None = None

    def __post_init__(self) -> None:
        checked(self, f"Choice({self.path!r}): ", ("path", "values", "when"))
        require(len(self.values) > 1, f"{self.path} has the values {self.values}: give two or more")
        for i, (value, label) in enumerate(zip(self.values, self.labels, strict=True)):
            again = value in self.values[:i] or label in self.labels[:i]
            require(not again, f"{self.path} has the values {self.values}: {value!r} is there twice")

    @property
    def name(self) -> str:
        """What Optuna calls it."""
        return self.path

    @property
    def ends(self) -> tuple[Value, ...]:
        """Every value."""
        return self.values

    @property
    def labels(self) -> tuple[str | int | float | bool | None, ...]:
        """The values as Optuna keeps them: a tuple as its text."""
        return tuple(str(value) if isinstance(value, tuple) else value for value in self.values)


Param = Range | Choice


def active(param: Param, config: RunConfig, values: Mapping[str, Value]) -> bool:
    """Whether ``param`` exists over the base ``config``, beside the values that stand before it."""
    when = param.when
    if when is None:
        return True
    there = values.get(when.path, value_at(config, when.path))
    return bool(there == when.value)


def in_time(param: Param, pace: float) -> Param:
    """The parameter for runs ``pace`` times as long, where its values are epochs of a schedule."""
    if pace == 1:
        return param
    if param.when and param.when.path in IN_EPOCHS:
        param = replace(param, when=When(param.when.path, _in_time(param.when.value, pace)))
    if param.path not in IN_EPOCHS:
        return param
    if isinstance(param, Range):
        return replace(param, low=param.low * pace, high=param.high * pace)
    return replace(param, values=tuple(_in_time(value, pace) for value in param.values))


def _in_time(epochs: Any, pace: float) -> Value:
    # not rounded: a search whose milestones were 5.3999999999999995 would become another one
    return tuple(each * pace for each in epochs) if isinstance(epochs, tuple) else epochs * pace


def param_to_json(param: Param) -> dict[str, Any]:
    """A parameter as plain JSON data."""
    return {"kind": type(param).__name__.lower(), **asdict(param)}
