"""Checks of a cell's parameters: their fields, their order, and combinations of their values.

They run when a space is constructed, so that an error appears before the search starts, not after hours of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from nowt.config.overrides import value_at
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError, require
from nowt.core.fields import NUMBERS, field_types
from nowt.studies.search.candidates import candidate_settings
from nowt.studies.search.params import Choice, Param, Range, Value

_SEED = "every trial runs with the space's run_seed, and a lower error with another seed would be chance"

_IMAGES = "trials would be compared on different images"

FIXED = {
    "test": "a search does not use test images",
    "seed": _SEED,
    "seeds": _SEED,
    "epochs": "rungs, warm-up and milestones are in epochs of the base config",
    "data.name": _IMAGES,
    "data.train_limit": _IMAGES,
    "data.score_limit": _IMAGES,
    "data.hold_out": "trials are scored on validation images, which must not be trained on",
    "data.split": _IMAGES,
    "data.noise": _IMAGES,
    "data.on_bad": _IMAGES,
}


def check_params(cell: str, config: RunConfig, params: Sequence[Param]) -> None:
    """Raise ConfigError for a parameter that contradicts the base ``config`` or another parameter."""
    example = '(Range("optim.lr", 0.01, 1.0),), in parentheses and with a comma'
    valid = isinstance(params, tuple | list) and all(isinstance(param, Range | Choice) for param in params)
    require(valid, f"cell {cell}: params is {params!r}: it must be a tuple such as {example}")
    require(bool(params), f"cell {cell} has no parameters: give at least one Range or Choice")
    paths = [param.path for param in params]
    require(len(set(paths)) == len(paths), f"cell {cell} has two parameters for one field: {paths}")
    for i, param in enumerate(params):
        before, later = params[:i], paths[i + 1 :]
        _check_field(config, param)
        if isinstance(param, Range) and param.times:
            _check_times(config, param, before, later)
        if param.when:
            _check_when(config, param, before, later)


def _check_field(config: RunConfig, param: Param) -> None:
    path = param.path
    why = FIXED.get(path) or FIXED.get(path.partition(".")[0])
    require(why is None, f"{path} cannot be searched: {why}")
    value_at(config, path)  # raises ConfigError for an unknown field
    if isinstance(param, Choice) and _kind(config, path) in NUMBERS:
        text = next((value for value in param.values if isinstance(value, str)), None)
        require(text is None, f"{path} is {text!r} in a Choice: it must be a number, without quotes")
    if isinstance(param, Range) and not param.integer:
        kind = _kind(config, path)
        integer = int in (kind, *get_args(kind)) and float not in get_args(kind)
        require(not (integer and param.times), f"{path} is an integer: it cannot be a multiple of {param.times}")
        require(not integer, f"{path} is an integer: give its Range integer=True")


def _kind(config: RunConfig, path: str) -> Any:
    group, _, name = path.rpartition(".")
    return field_types(type(value_at(config, group) if group else config))[name]


def _check_times(config: RunConfig, param: Range, before: Sequence[Param], later: Sequence[str]) -> None:
    base = value_at(config, param.times)
    require(param.times not in later, f"{param.path} is a multiple of {param.times}: put {param.times} before it")
    searched = next((other for other in before if other.path == param.times), None)
    factors = searched.extremes if searched else (base,)
    numbers = all(isinstance(factor, int | float) and not isinstance(factor, bool) for factor in factors)
    require(numbers, f"{param.path} is a multiple of {param.times}, which is {_or(factors)}: it must be a number")


def _check_when(config: RunConfig, param: Param, before: Sequence[Param], later: Sequence[str]) -> None:
    assert param.when is not None
    path, value = param.when.path, param.when.value
    base = value_at(config, path)
    line = f"{param.path} exists only when {path} is {value!r}"
    require(path not in later, f"{line}: put {path} before it")
    searched = next((other for other in before if other.path == path), None)
    if isinstance(searched, Range):
        possible = searched.integer and isinstance(value, int) and searched.low <= value <= searched.high
        kind = "an integer" if searched.integer else "any number"
        require(possible, f"{line}: it is {kind} from {searched.low} to {searched.high}")
        return
    values = (base,) if searched is None else searched.values + ((base,) if searched.when else ())
    require(value in values, f"{line}, but it can only be {_or(values)}")


def _or(values: Sequence[Any]) -> str:
    return " or ".join(map(repr, values))


def check_combinations(
    cell: str, config: RunConfig, params: Sequence[Param], config_of: Callable[[Mapping[str, Value]], RunConfig]
) -> None:
    """Raise ConfigError for the first of the cell's candidate settings that is not a valid config. The message names
    only the values that contradict each other."""
    for values in candidate_settings(cell, config, params):
        if _error(config_of, values) is not None:
            for name in list(values):  # leave out each value without which the error remains
                fewer = {other: value for other, value in values.items() if other != name}
                values = fewer if _error(config_of, fewer) is not None else values
            named = ", ".join(f"{name} {value!r}" for name, value in values.items())
            raise ConfigError(f"cell {cell} cannot have {named}: {_error(config_of, values)}")


def _error(config_of: Callable[[Mapping[str, Value]], RunConfig], values: Mapping[str, Value]) -> ConfigError | None:
    try:
        config_of(values)
    except ConfigError as error:
        return error
    return None
