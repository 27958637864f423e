"""Who proposes a trial's values: a sampler made anew for each, so that a proposal depends on the storage alone."""

from abc import ABC
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nowt.core.seeding import generator, seed_of
from nowt.studies.search.grid import combination, count
from nowt.studies.search.params import Choice, Param, Value
from nowt.studies.search.space import SearchCell, SearchSpace


def sampler(space: SearchSpace, cell: SearchCell, draw: int) -> BaseSampler:
    """The sampler of the cell's ``draw``-th trial (0 is the first)."""
    return Proposals(space, cell, draw) if space.sampler == "tpe" else Draws(space, cell, draw)


class OneByOne(BaseSampler, ABC):  # type: ignore[misc]  # optuna is untyped here
    """Proposes each parameter for itself, so that a trial that a crash left with half its values gets the others as it
    would have had them."""

    def __init__(self, space: SearchSpace, cell: SearchCell, draw: int) -> None:
        self.space, self.cell, self.draw = space, cell, draw

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing is drawn jointly."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is drawn jointly."""
        return {}


class Proposals(OneByOne):
    """Bergstra et al.'s (2011) TPE over the cell's finished trials, seeded anew for each parameter of each draw."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parameter's value in this draw."""
        seed = seed_of(self.space.seed, "tpe", self.space.name, self.cell.name, param_name, self.draw)
        return TPESampler(seed=seed % 2**32).sample_independent(study, trial, param_name, param_distribution)


class Draws(OneByOne):
    """Draws that depend on (space, parameter's name, number of the draw) alone: cells that share a parameter share
    them, and trials of one cell are independent (``random``) or fill the space evenly (``quasi_random``)."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parameter's value in this draw."""
        if self.space.sampler == "grid":
            return self._on_grid(param_name)
        return _scaled(_unit(self.space, param_name, self.draw), param_distribution)

    def _on_grid(self, name: str) -> Any:
        """The parameter's choice in the draw's combination, as Optuna keeps it."""
        point = combination(self.cell.config, self.cell.params, _levels, self.draw)
        param = next(p for p in self.cell.params if isinstance(p, Choice) and p.name == name)
        return param.labels[param.values.index(point[name])]


def grid_size(cell: SearchCell) -> int:
    """Distinct combinations of the cell's choices."""
    return count(cell.config, cell.params, _levels)


def _levels(param: Param) -> Sequence[Value]:
    """The values that a grid takes in turn."""
    assert isinstance(param, Choice)
    return param.values


def _unit(space: SearchSpace, name: str, draw: int) -> float:
    """A number in [0, 1) for the parameter of that name in that draw."""
    if space.sampler == "random":
        return float(
            torch.rand((), generator=generator(space.seed, "draw", space.name, name, draw), dtype=torch.float64)
        )
    names = _names(space)
    return float(_sobol(len(names), seed_of(space.seed, "sobol", space.name) % 2**32, draw)[names[name]])


def _names(space: SearchSpace) -> Mapping[str, int]:
    """A place for every parameter of any cell."""
    found = dict.fromkeys(param.name for cell in space.cells for param in cell.params)
    return {name: i for i, name in enumerate(found)}


@lru_cache(maxsize=64)
def _sobol(dimensions: int, seed: int, draw: int) -> tuple[float, ...]:
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=True, rng=seed)
    if draw:
        points.fast_forward(draw)
    return tuple(points.random(1)[0])


def _scaled(unit: float, domain: BaseDistribution) -> Any:
    if isinstance(domain, CategoricalDistribution):
        return domain.choices[int(unit * len(domain.choices))]
    assert isinstance(domain, FloatDistribution | IntDistribution)
    low, high = float(domain.low), float(domain.high)
    if isinstance(domain, IntDistribution):
        high += 1
    value = low * (high / low) ** unit if domain.log else low + (high - low) * unit
    return int(value) if isinstance(domain, IntDistribution) else value
