"""Samplers of a search. Each trial gets a new sampler, so that its values depend on the storage alone."""

from abc import ABC
from collections.abc import Mapping
from copy import copy
from functools import lru_cache
from typing import Any

import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nowt.core.seeding import generator, seed_of
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.optuna_internals import with_trials
from nowt.studies.search.params import Choice
from nowt.studies.search.result import DIVERGED
from nowt.studies.search.space import SearchSpace


def make_sampler(space: SearchSpace, cell: SearchCell, draw: int) -> BaseSampler:
    """Return the sampler for draw number ``draw`` (from 0) of the cell."""
    return ReseededTPESampler(space, cell, draw) if space.sampler == "tpe" else SharedDrawSampler(space, cell, draw)


class IndependentSampler(BaseSampler, ABC):  # type: ignore[misc]  # optuna is untyped here
    """Samples each parameter independently. A trial that a crash interrupted is therefore completed with identical
    values."""

    def __init__(self, space: SearchSpace, cell: SearchCell, draw: int) -> None:
        self.space, self.cell, self.draw = space, cell, draw

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: no parameters are sampled jointly."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing: no parameters are sampled jointly."""
        return {}


class ReseededTPESampler(IndependentSampler):
    """The tree-structured Parzen estimator (Bergstra et al. 2011) on the cell's finished trials. Each parameter of each
    draw has its own seed."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the parameter's value in this draw."""
        seed = seed_of(self.space.seed, "tpe", self.space.name, self.cell.name, param_name, self.draw)
        ranked = with_trials(study, _diverged_last)
        return TPESampler(seed=seed % 2**32).sample_independent(ranked, trial, param_name, param_distribution)


def _diverged_last(trial: FrozenTrial) -> FrozenTrial:
    """Return the trial, without its errors if it diverged.

    TPE ranks pruned trials by their last epoch, then by their error there, and those without an error last. A trial
    that diverged late would otherwise rank before every healthy trial that was stopped early.
    """
    if trial.state != TrialState.PRUNED or trial.user_attrs.get("reason") != DIVERGED:
        return trial
    found = copy(trial)
    found.intermediate_values = {}
    return found


class SharedDrawSampler(IndependentSampler):
    """Samples values that depend only on the space, the parameter's name and the draw's number.

    Cells that share a parameter therefore get the same values. Depending on the space's sampler, draws are independent
    (``random``), fill the space evenly (``quasi_random``) or enumerate all combinations (``grid``).
    """

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the parameter's value in this draw."""
        if self.space.sampler == "grid":
            return self._on_grid(param_name)
        return _scaled(_unit(self.space, param_name, self.draw), param_distribution)

    def _on_grid(self, name: str) -> Any:
        """Return the parameter's value in the draw's combination, as Optuna stores it."""
        param = next(p for p in self.cell.params if isinstance(p, Choice) and p.name == name)
        return param.labels[param.values.index(self.cell.grid_point(self.draw)[name])]


def _unit(space: SearchSpace, name: str, draw: int) -> float:
    """Return a number in [0, 1) for the parameter ``name`` in this draw."""
    if space.sampler == "random":
        return float(
            torch.rand((), generator=generator(space.seed, "draw", space.name, name, draw), dtype=torch.float64)
        )
    dimensions = _dimensions(space)
    return float(_sobol(len(dimensions), seed_of(space.seed, "sobol", space.name) % 2**32, draw)[dimensions[name]])


def _dimensions(space: SearchSpace) -> Mapping[str, int]:
    """Return the dimension of the Sobol sequence for each parameter of any cell."""
    found = dict.fromkeys(param.name for cell in space.cells for param in cell.params)
    return {name: i for i, name in enumerate(found)}


@lru_cache(maxsize=64)
def _sobol(dimensions: int, seed: int, draw: int) -> tuple[float, ...]:
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=True, rng=seed)
    if draw:
        points.fast_forward(draw)
    return tuple(points.random(1)[0])


def _scaled(unit: float, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(unit * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if isinstance(distribution, IntDistribution):
        high += 1
    value = low * (high / low) ** unit if distribution.log else low + (high - low) * unit
    return int(value) if isinstance(distribution, IntDistribution) else value
