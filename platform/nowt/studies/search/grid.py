"""The distinct combinations of a cell's parameters, in order; a parameter that does not exist in one adds none."""

from collections.abc import Callable, Mapping, Sequence

from nowt.config.run_config import RunConfig
from nowt.studies.search.params import Param, Value, active

Levels = Callable[[Param], Sequence[Value]]  # the values of a parameter that are combined


def count(config: RunConfig, params: Sequence[Param], levels: Levels, before: Mapping[str, Value] | None = None) -> int:
    """How many combinations there are beside the values ``before``; counted, not listed, but where others depend."""
    values = dict(before or {})
    found = 1
    for i, param in enumerate(params):
        if not active(param, config, values):
            continue
        rest = params[i + 1 :]
        if any(other.when and other.when.path == param.path for other in rest):
            return found * sum(count(config, rest, levels, {**values, param.name: v}) for v in levels(param))
        found *= len(levels(param))
    return found


def combination(config: RunConfig, params: Sequence[Param], levels: Levels, number: int) -> dict[str, Value]:
    """The ``number``-th combination (0 is the first), by name; the last parameter turns fastest."""
    values: dict[str, Value] = {}
    for i, param in enumerate(params):
        if not active(param, config, values):
            continue
        for value in levels(param):
            values[param.name] = value
            those = count(config, params[i + 1 :], levels, values)
            if number < those:
                break
            number -= those
    return values
