"""A search space: what is varied over a base config, how much may be spent, and who proposes. Data only."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from nowt.config.overrides import Override, apply_overrides, set_fields, value_at
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import non_default_fields
from nowt.core.errors import require
from nowt.rules.base import Rule
from nowt.studies.search.params import Choice, Param, Range, Value, active, checked, in_time, param_to_json
from nowt.studies.search.space_checks import check_params, check_together, tried
from nowt.studies.study import check_name


@dataclass(frozen=True)
class SearchCell:
    """One rule's part of a search: a base config and what is varied over it, in this order."""

    name: str
    config: RunConfig
    params: tuple[Param, ...]

    def __post_init__(self) -> None:
        like = f"it must be a RunConfig, such as replace(digits(rule), test=False), and is {self.config!r}"
        require(isinstance(self.config, RunConfig), f"cell {self.name}: config: {like}")
        check_params(self.name, self.config, self.params)
        for _ in self.ends():  # raises ConfigError for a value that cannot be
            pass
        check_together(self.name, self.config, self.params, self.config_of)

    def tried(self) -> Iterator[RunConfig]:
        """Configs that trials could get: combinations of choices, and draws."""
        return map(self.config_of, tried(self.name, self.config, self.params))

    def ends(self) -> Iterator[RunConfig]:
        """A config for each choice of each parameter, and for both ends of each range."""
        for param in self.params:
            for end in param.ends:
                yield self.config_of(self._values_with(param, end))

    def _values_with(self, param: Param, value: Value) -> dict[str, Value]:
        """A whole set of values in which ``param`` exists and has ``value``, each other one the first of its own."""
        wanted = {param.when.path: param.when.value} if param.when else {}
        wanted[param.name] = value
        values: dict[str, Value] = {}
        for other in self.params:
            if self.active(other, values):
                values[other.name] = wanted.get(other.name, other.ends[0])
        return values

    def config_of(self, values: Mapping[str, Value]) -> RunConfig:
        """The base config with each parameter's value (by its name) in place; raises ConfigError where they do not go
        together."""
        new: dict[str, Any] = {}
        for param in self.params:
            if param.name in values:
                value: Any = values[param.name]
                if isinstance(param, Range) and param.times:
                    value *= new.get(param.times, value_at(self.config, param.times))
                new[param.path] = value
        return with_values(self.config, new)

    def active(self, param: Param, values: Mapping[str, Value]) -> bool:
        """Whether ``param`` exists beside the values that stand before it."""
        return active(param, self.config, values)


@dataclass(frozen=True)
class Budget:
    """What each cell may spend: no trial starts once it is spent."""

    amount: float
    unit: Literal["trials", "presentations", "flops", "seconds"] = "trials"

    def __post_init__(self) -> None:
        checked(self, "budget.", ("amount", "unit"))
        given = f"a budget of {self.amount} {self.unit}"
        require(0 < self.amount < float("inf"), f"{given}: it must be above 0 and finite")
        require(self.unit != "trials" or self.amount % 1 == 0, f"{given}: trials are whole")


@dataclass(frozen=True)
class EarlyStopping:
    """When a trial is stopped early, judged among the trials of its own cell alone."""

    kind: Literal["none", "halving", "median"] = "halving"
    first_rung: int | None = None  # epochs; None: the first by which kp can align under the base config's schedule
    factor: int = 3  # halving: a rung lets through one of so many, and the next comes so many times later

    def __post_init__(self) -> None:
        checked(self, "stopping.", ("kind", "first_rung", "factor"))
        require(self.factor >= 2, f"stopping.factor is {self.factor}: it must be 2 or more")
        require(self.first_rung is None or self.first_rung >= 1, f"stopping.first_rung is {self.first_rung}: 1 or more")
        kind = f"which is {self.kind!r}: leave it out"
        require(self.kind != "none" or self.first_rung is None, f"stopping.first_rung has no use in stopping, {kind}")
        require(self.kind == "halving" or self.factor == 3, f"stopping.factor has no use in stopping, {kind}")


@dataclass(frozen=True)
class SearchSpace:
    """A search: every cell spends the same budget.

    ``random`` and ``quasi_random`` draw a parameter by its name and the draw's number alone, so that cells that share
    a parameter share its draws; ``tpe`` learns from the cell's own trials; ``grid`` takes every combination in turn.
    """

    name: str
    question: str
    cells: tuple[SearchCell, ...]
    budget: Budget
    sampler: Literal["tpe", "quasi_random", "random", "grid"] = "tpe"
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    seed: int = 0  # of the proposals
    run_seed: int = 0  # of every trial's run
    reference: str = ""  # the cell that the others are compared with; "": bp where there is one, else the first

    def __post_init__(self) -> None:
        checked(self, f"search {self.name}: ", ("name", "question", "sampler", "seed", "run_seed", "reference"))
        check_name("search", self.name)
        self._check_parts()
        names = [cell.name for cell in self.cells]
        require(bool(names), f"search {self.name} has no cells")
        require(len(set(names)) == len(names), f"search {self.name} has two cells of one name: {names}")
        there = self.reference in ("", *names)
        require(there, f"search {self.name}: reference is {self.reference!r}: it must be a cell: {', '.join(names)}")
        whole = all(isinstance(p, Choice) for cell in self.cells for p in cell.params)
        require(self.sampler != "grid" or whole, f"search {self.name}: a grid needs choices, not ranges")
        for cell in self.cells:
            require(not cell.config.test, f"search {self.name}: cell {cell.name} opens test pictures (test=False)")
            seed = f"cell {cell.name} has seed={cell.config.seed}: leave it out, run_seed of the Space is every trial's"
            require(cell.config.seed == 0, f"search {self.name}: {seed}")

    def _check_parts(self) -> None:
        """Raise ConfigError where budget, stopping or cells are given as something else: what a slip of the pen is."""
        for name, kind, like in (("budget", Budget, "Budget(20)"), ("stopping", EarlyStopping, 'Stopping("halving")')):
            given = getattr(self, name)
            require(isinstance(given, kind), f"search {self.name}: {name} is {given!r}: it must be like {like}")
        cells = f"search {self.name}: cells"  # a whole Cell is no line to read
        like = "(Cell(...),), in parentheses and with a comma"
        require(isinstance(self.cells, tuple | list), f"{cells} is {type(self.cells).__name__}: it must be like {like}")
        for cell in self.cells:
            require(isinstance(cell, SearchCell), f"{cells} has {type(cell).__name__}: it must be a Cell(...)")

    @property
    def baseline(self) -> str:
        """The cell that the others are compared with."""
        names = [cell.name for cell in self.cells]
        return self.reference or ("bp" if "bp" in names else names[0])

    @cached_property
    def key(self) -> str:
        """Name and a hash of what is searched and how; the budget is not in it, so that a larger one goes on."""
        cells = [
            [c.name, non_default_fields(replace(c.config, seed=0)), [param_to_json(p) for p in c.params]]
            for c in self.cells
        ]
        how = [self.sampler, asdict(self.stopping), self.seed, self.run_seed]
        digest = hashlib.sha256(json.dumps([cells, how], sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.name}-{digest}"


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The config with a setting's values, by path; one with another schedule leaves the config's own steps behind."""
    if values.get("optim.schedule", "step") != "step":
        values = {"optim.milestones": (), "optim.gamma": 0.1, **values}
    return set_fields(config, values)


def on_recipe(space: SearchSpace, recipe: Callable[[Rule], RunConfig]) -> SearchSpace:
    """The space over another recipe, with each cell's own rule; warm-up and milestones keep their share of the run."""
    cells = tuple(with_base(cell, replace(recipe(cell.config.rule), test=False)) for cell in space.cells)
    return replace(space, cells=cells)


def with_base(cell: SearchCell, config: RunConfig) -> SearchCell:
    """The cell over another base config; settings in epochs keep their share of the run."""
    return SearchCell(
        cell.name, config, tuple(in_time(param, config.epochs / cell.config.epochs) for param in cell.params)
    )


def with_options(
    space: SearchSpace,
    overrides: Sequence[Override],
    trials: int | None,
    sampler: Any,
    stopping: Any,
    first_rung: int | None = None,
) -> SearchSpace:
    """The space as the command line changes it: fields in every cell's base config, budget, sampler, stopping."""
    require(trials is None or trials >= 1, f"--trials is {trials}: it must be at least 1")
    searched = {param.path for cell in space.cells for param in cell.params}
    for override in overrides:
        path = override.path.replace("-", "_")
        require(path != "rule", f"--rule has no place here: each cell of {space.name} has its own; or write a space")
        require(path != "seed", f"--seed has no place here: {space.name} gives its trials theirs (run_seed)")
        require(
            path not in searched, f"--{override.path} is what {space.name} searches: leave it out, or write a space"
        )
    cells = tuple(with_base(cell, apply_overrides(cell.config, overrides)) for cell in space.cells)
    changes: dict[str, Any] = {"cells": cells}
    changes |= {"budget": Budget(trials)} if trials is not None else {}
    changes |= {"sampler": sampler} if sampler else {}
    kind = stopping or space.stopping.kind
    require(kind != "none" or first_rung is None, "--first-rung is for early stopping: --stopping halving or median")
    return replace(space, stopping=_stopping(space.stopping, kind, first_rung), **changes)


def _stopping(known: EarlyStopping, kind: Any, first_rung: int | None) -> EarlyStopping:
    """Another kind of stopping, with what of the ``known`` one it has a use for."""
    if kind == "none":
        return EarlyStopping("none")
    rung = known.first_rung if first_rung is None else first_rung
    return EarlyStopping(kind, rung, known.factor if kind == known.kind else 3)


def space_to_json(space: SearchSpace) -> dict[str, Any]:
    """The space as plain JSON data, in the shape of a study file."""
    cells = [
        {"name": c.name, "config": config_to_json(c.config), "params": [param_to_json(p) for p in c.params]}
        for c in space.cells
    ]
    how = {"sampler": space.sampler, "stopping": asdict(space.stopping), "budget": asdict(space.budget)}
    head = {"name": space.name, "question": space.question, "reference": space.baseline}
    return {**head, "seeds": [space.run_seed], "seed": space.seed, **how, "cells": cells}
