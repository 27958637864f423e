"""Enumerates and samples parameter combinations of a cell."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from nowt.config.run_config import RunConfig
from nowt.studies.search.params import Choice, Param, Range, Value, is_active

Levels = Callable[[Param], Sequence[Value]]  # the values of a parameter that are combined

CANDIDATES = 200  # most combinations that are all tried, and the number of random settings


def count_combinations(
    config: RunConfig, params: Sequence[Param], levels: Levels, before: Mapping[str, Value] | None = None
) -> int:
    """Return the number of distinct combinations, given the values ``before``. An inactive parameter has no values to
    combine."""
    values = dict(before or {})
    count = 1
    for i, param in enumerate(params):
        if not is_active(param, config, values):
            continue
        rest = params[i + 1 :]
        if any(other.when and other.when.path == param.path for other in rest):
            branches = (count_combinations(config, rest, levels, {**values, param.name: v}) for v in levels(param))
            return count * sum(branches)
        count *= len(levels(param))
    return count


def nth_combination(config: RunConfig, params: Sequence[Param], levels: Levels, number: int) -> dict[str, Value]:
    """Return the combination with index ``number`` (from 0) as values by parameter name; the last parameter varies
    fastest."""
    values: dict[str, Value] = {}
    for i, param in enumerate(params):
        if not is_active(param, config, values):
            continue
        for value in levels(param):
            values[param.name] = value
            following = count_combinations(config, params[i + 1 :], levels, values)
            if number < following:
                break
            number -= following
    return values


def candidate_settings(cell: str, config: RunConfig, params: Sequence[Param]) -> Iterator[dict[str, Value]]:
    """Yield settings to check a cell with. They are reproducible, because the name ``cell`` seeds the random ones.

    First come all combinations of choices, with every range at its lower and then at its upper end, if there are at
    most ``CANDIDATES``. Then come ``CANDIDATES`` random settings.
    """
    if count_combinations(config, params, _lower) <= CANDIDATES:
        for levels in (_lower, _upper):
            number = count_combinations(config, params, levels)
            yield from (nth_combination(config, params, levels, i) for i in range(number))
    generator = random.Random(cell)
    yield from (_random_setting(config, params, generator) for _ in range(CANDIDATES))


def grid_levels(param: Param) -> Sequence[Value]:
    """Return the values of a choice, in the order in which a grid tries them."""
    assert isinstance(param, Choice)
    return param.values


def _lower(param: Param) -> Sequence[Value]:
    return param.values if isinstance(param, Choice) else param.extremes[:1]


def _upper(param: Param) -> Sequence[Value]:
    return param.values if isinstance(param, Choice) else param.extremes[1:]


def _random_setting(config: RunConfig, params: Sequence[Param], generator: random.Random) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for param in params:
        if is_active(param, config, values):
            values[param.name] = (
                generator.choice(param.values) if isinstance(param, Choice) else _random_number(param, generator)
            )
    return values


def _random_number(param: Range, generator: random.Random) -> Value:
    if param.integer:
        return generator.randint(int(param.low), int(param.high))
    unit = generator.random()
    return param.low * (param.high / param.low) ** unit if param.log else param.low + (param.high - param.low) * unit
