"""A cell of a search: one rule's base config and the parameters that are searched over it. Data only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nowt.config.overrides import set_fields, value_at
from nowt.config.run_config import RunConfig
from nowt.core.errors import require
from nowt.studies.search.candidates import candidate_settings, count_combinations, grid_levels, nth_combination
from nowt.studies.search.param_checks import check_combinations, check_params
from nowt.studies.search.params import Param, Range, Value, is_active, scale_epochs


@dataclass(frozen=True)
class SearchCell:
    """One rule's part of a search: a base config, and the parameters that are searched over it.

    The constructor checks the parameters on the base config: it tries both ends of each range, each choice, and up to
    600 settings, so that a contradiction is an error before the search starts.

    Args:
        name: Name of the cell in tables and figures. Recommended: the rule's short name, such as ``"kp"``.
        config: Base config, usually a recipe with ``test=False`` (a search does not use test images) and without a
            seed. Fields that are not searched keep their values.
        params: One or more parameters, as a tuple. A parameter that another one names in ``times`` or ``when`` must
            come before it. ``test``, ``seed``, ``seeds.*``, ``epochs`` and the fields of ``data`` that decide which
            images are used cannot be searched.

    Raises:
        ConfigError: If a parameter's field does not exist or cannot be searched, or if values contradict each other.

    Example:
        >>> from dataclasses import replace
        >>> from nowt import KolenPollack, Range, SearchCell, recipes
        >>> config = replace(recipes.digits(KolenPollack()), test=False)
        >>> cell = SearchCell("kp", config, (Range("optim.lr", 0.01, 1.0, log=True),))
        >>> cell.config_of({"optim.lr": 0.2}).optim.lr
        0.2
    """

    name: str
    config: RunConfig
    params: tuple[Param, ...]

    def __post_init__(self) -> None:
        example = f"it must be a RunConfig, such as replace(digits(rule), test=False), and is {self.config!r}"
        require(isinstance(self.config, RunConfig), f"cell {self.name}: config: {example}")
        check_params(self.name, self.config, self.params)
        for _ in self.extreme_configs():  # raises ConfigError for an invalid value
            pass
        check_combinations(self.name, self.config, self.params, self.config_of)

    def config_of(self, values: Mapping[str, Value]) -> RunConfig:
        """Return the base config with the parameters' values in place.

        Args:
            values: Value of each parameter by its name; parameters without a value keep the base config's.

        Raises:
            ConfigError: If the values contradict each other.
        """
        new: dict[str, Any] = {}
        for param in self.params:
            if param.name in values:
                value: Any = values[param.name]
                if isinstance(param, Range) and param.times:
                    value *= new.get(param.times, value_at(self.config, param.times))
                new[param.path] = value
        return _with_setting(self.config, new)

    def is_active(self, param: Param, values: Mapping[str, Value]) -> bool:
        """Return whether ``param`` is active given the preceding ``values``."""
        return is_active(param, self.config, values)

    @property
    def grid_size(self) -> int:
        """The number of distinct combinations of the cell's choices."""
        return count_combinations(self.config, self.params, grid_levels)

    def grid_point(self, number: int) -> dict[str, Value]:
        """Return the combination with index ``number`` (from 0) of the cell's choices, by parameter name."""
        return nth_combination(self.config, self.params, grid_levels, number)

    def candidate_configs(self) -> Iterator[RunConfig]:
        """Yield configs that trials could get: combinations of choices, and random settings."""
        return map(self.config_of, candidate_settings(self.name, self.config, self.params))

    def extreme_configs(self) -> Iterator[RunConfig]:
        """Yield a config for each value of each choice, and for both ends of each range."""
        for param in self.params:
            for value in param.extremes:
                yield self.config_of(self._setting_with(param, value))

    def _setting_with(self, param: Param, value: Value) -> dict[str, Value]:
        """Return a complete setting in which ``param`` is active and has ``value``; the others have their first
        values."""
        wanted = {param.when.path: param.when.value} if param.when else {}
        wanted[param.name] = value
        values: dict[str, Value] = {}
        for other in self.params:
            if self.is_active(other, values):
                values[other.name] = wanted.get(other.name, other.extremes[0])
        return values


def _with_setting(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return the config with these values by path. A schedule other than "step" drops the base config's milestones."""
    if values.get("optim.schedule", "step") != "step":
        values = {"optim.milestones": (), "optim.gamma": 0.1, **values}
    return set_fields(config, values)


def with_config(cell: SearchCell, config: RunConfig) -> SearchCell:
    """Return the cell over another base config; parameters in epochs keep their share of the run."""
    ratio = config.epochs / cell.config.epochs
    return SearchCell(cell.name, config, tuple(scale_epochs(param, ratio) for param in cell.params))
