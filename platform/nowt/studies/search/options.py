"""The options of ``nowt search`` that change a space: another recipe, other fields, budget, sampler or stopping."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from nowt.config.field_names import Override
from nowt.config.overrides import apply_overrides
from nowt.config.recipes import scored_on_validation, shrink_config
from nowt.config.run_config import RunConfig
from nowt.core.errors import require
from nowt.rules.base import Rule
from nowt.studies.search.cells import with_config
from nowt.studies.search.confirmation import SEEDS, Confirm
from nowt.studies.search.space import Budget, EarlyStopping, SearchSpace


def with_recipe(space: SearchSpace, recipe: Callable[[Rule], RunConfig]) -> SearchSpace:
    """Return the space over another recipe, with each cell's own rule, scored on validation images that are held out.
    Parameters in epochs keep their share of the run."""
    cells = tuple(with_config(cell, scored_on_validation(recipe(cell.config.rule))) for cell in space.cells)
    return replace(space, cells=cells)


def shrink_space(space: SearchSpace) -> SearchSpace:
    """Return a version of the space that takes a few minutes: two epochs, few images, three trials per cell, and one
    seed wherever it is confirmed."""
    cells = tuple(with_config(cell, shrink_config(cell.config)) for cell in space.cells)
    trials = min([3, *(cell.grid_size for cell in cells)]) if space.sampler == "grid" else 3
    return replace(
        space, name=f"{space.name}_quick", cells=cells, budget=Budget(trials), confirm=_one_seed(space.confirm)
    )


def _one_seed(confirm: Confirm | None) -> Confirm | None:
    """Return the confirmation with one seed for its settings and one for its picks."""
    if confirm is None:
        return None
    seeds = SEEDS if confirm.settings == 1 and confirm.pick_seeds else 1
    return Confirm(confirm.settings, seeds, confirm.pick_seeds and 1, confirm.test)


def with_options(
    space: SearchSpace,
    overrides: Sequence[Override],
    trials: int | None,
    sampler: Any,
    stopping: Any,
    first_rung: int | None = None,
) -> SearchSpace:
    """Return the space with the command line's changes: fields of every cell's base config, budget, sampler and early
    stopping. Raises ConfigError for an option that the space does not allow."""
    require(trials is None or trials >= 1, f"--trials is {trials}: it must be at least 1")
    _check_overrides(space, overrides)
    cells = tuple(with_config(cell, apply_overrides(cell.config, overrides)) for cell in space.cells)
    changes: dict[str, Any] = {"cells": cells}
    changes |= {"budget": Budget(trials)} if trials is not None else {}
    changes |= {"sampler": sampler} if sampler else {}
    kind = stopping or space.stopping.kind
    needs = "--first-rung needs early stopping: add --stopping halving or --stopping median"
    require(kind != "none" or first_rung is None, needs)
    return replace(space, stopping=_stopping(space.stopping, kind, first_rung), **changes)


def _check_overrides(space: SearchSpace, overrides: Sequence[Override]) -> None:
    searched = {param.path for cell in space.cells for param in cell.params}
    write = "write your own space"
    for override in overrides:
        path, no_use = override.path.replace("-", "_"), f"--{override.path} cannot be used with a search"
        rule = f"{no_use}: each cell of {space.name!r} already sets its rule. To search another rule, {write}"
        require(path != "rule", rule)
        require(path != "seed", f"{no_use}; set run_seed in space {space.name!r}")
        require(path not in searched, f"{no_use}: {space.name!r} searches this field. Leave it out, or {write}")


def _stopping(known: EarlyStopping, kind: Any, first_rung: int | None) -> EarlyStopping:
    """Early stopping of this ``kind``, with the settings of ``known`` that apply to it."""
    if kind == "none":
        return EarlyStopping("none")
    rung = known.first_rung if first_rung is None else first_rung
    return EarlyStopping(kind, rung, known.factor if kind == known.kind else 3)
