"""What a cell of a search may vary: which fields, in which order, and which values together. Each ConfigError says it
in one line when the space is made, not in the middle of a night."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from nowt.config.overrides import value_at
from nowt.config.run_config import RunConfig
from nowt.core.errors import ConfigError, require
from nowt.core.fields import field_types
from nowt.studies.search.grid import combination, count
from nowt.studies.search.params import Choice, Param, Range, Value, active

MOST = 200  # draws that are tried, and combinations of choices: all of them, where they are no more

PICTURES = "trials would be compared on other pictures"

FIXED = {
    "test": "a search opens no test pictures",
    "seed": "every trial runs under the space's run_seed, and another seed is only other luck",
    "seeds": "every trial runs under the space's run_seed, and another seed is only other luck",
    "epochs": "rungs, warm-up and milestones are counted in the epochs of the base config",
    "data.name": PICTURES,
    "data.train_limit": PICTURES,
    "data.score_limit": PICTURES,
    "data.noise": PICTURES,
    "data.on_bad": PICTURES,
}


def check_params(cell: str, config: RunConfig, params: Sequence[Param]) -> None:
    """Raise ConfigError for a parameter that the base ``config`` or the others leave no room for."""
    like = '(Range("optim.lr", 0.01, 1.0),), in parentheses and with a comma'
    whole = isinstance(params, tuple | list) and all(isinstance(param, Range | Choice) for param in params)
    require(whole, f"cell {cell}: params is {params!r}: it must be like {like}")
    require(bool(params), f"cell {cell} varies nothing")
    paths = [param.path for param in params]
    require(len(set(paths)) == len(paths), f"cell {cell} names a parameter twice: {paths}")
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
    value_at(config, path)  # raises ConfigError for a name that the base config does not have
    if isinstance(param, Range) and not param.integer:
        kind = _kind(config, path)
        whole = int in (kind, *get_args(kind)) and float not in get_args(kind)
        require(not (whole and param.times), f"{path} is a whole number: it cannot be a multiple of {param.times}")
        require(not whole, f"{path} is a whole number: give its Range integer=True")


def _kind(config: RunConfig, path: str) -> Any:
    group, _, name = path.rpartition(".")
    return field_types(type(value_at(config, group) if group else config))[name]


def _check_times(config: RunConfig, param: Range, before: Sequence[Param], later: Sequence[str]) -> None:
    base = value_at(config, param.times)
    require(param.times not in later, f"{param.path} is a multiple of {param.times}: put {param.times} before it")
    searched = next((other for other in before if other.path == param.times), None)
    factors = searched.ends if searched else (base,)
    numbers = all(isinstance(factor, int | float) and not isinstance(factor, bool) for factor in factors)
    require(numbers, f"{param.path} is a multiple of {param.times}, which is {_or(factors)}: it must be a number")


def _check_when(config: RunConfig, param: Param, before: Sequence[Param], later: Sequence[str]) -> None:
    assert param.when is not None
    path, value = param.when.path, param.when.value
    base = value_at(config, path)
    line = f"{param.path} is there when {path} is {value!r}"
    require(path not in later, f"{line}: put {path} before it")
    searched = next((other for other in before if other.path == path), None)
    if isinstance(searched, Range):
        there = searched.integer and isinstance(value, int) and searched.low <= value <= searched.high
        kind = "a whole number" if searched.integer else "any number"
        require(there, f"{line}: it is {kind} from {searched.low} to {searched.high}")
        return
    values = (base,) if searched is None else searched.values + ((base,) if searched.when else ())
    require(value in values, f"{line}, which it never is: it is {_or(values)}")


def _or(values: Sequence[Any]) -> str:
    return " or ".join(map(repr, values))


def check_together(
    cell: str, config: RunConfig, params: Sequence[Param], config_of: Callable[[Mapping[str, Value]], RunConfig]
) -> None:
    """Raise ConfigError for values that do not go together, and name them: of those that ``tried`` gives."""
    for values in tried(cell, config, params):
        if _error(config_of, values) is not None:
            for name in list(values):  # only those that it takes
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


def tried(cell: str, config: RunConfig, params: Sequence[Param]) -> Iterator[dict[str, Value]]:
    """All combinations of choices, with each range at its lower and at its upper end, where there are at most ``MOST``;
    and as many draws of all, with values from within the ranges."""
    if count(config, params, _lower) <= MOST:
        for levels in (_lower, _upper):
            yield from (combination(config, params, levels, i) for i in range(count(config, params, levels)))
    luck = random.Random(cell)
    yield from (_drawn(config, params, luck) for _ in range(MOST))


def _lower(param: Param) -> Sequence[Value]:
    return param.values if isinstance(param, Choice) else param.ends[:1]


def _upper(param: Param) -> Sequence[Value]:
    return param.values if isinstance(param, Choice) else param.ends[1:]


def _drawn(config: RunConfig, params: Sequence[Param], luck: random.Random) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for param in params:
        if active(param, config, values):
            values[param.name] = luck.choice(param.values) if isinstance(param, Choice) else _between(param, luck)
    return values


def _between(param: Range, luck: random.Random) -> Value:
    if param.integer:
        return luck.randint(int(param.low), int(param.high))
    unit = luck.random()
    return param.low * (param.high / param.low) ** unit if param.log else param.low + (param.high - param.low) * unit
