"""Variance components: how much each source of randomness contributes to the variance of the error over seeds.

Cells that differ only in their pinned seeds (config field ``seeds``) form a family. A cell that pins all seeds but one
measures the variance due to that source alone. A cell that pins one seed measures it as the difference to the total
variance. What the total exceeds the sources measured alone by is due to interactions and to sources not varied alone.

The variance estimates s² of cells are independent, with (n − 1) s²/σ² ~ χ² for normally distributed errors. Intervals
of differences and fractions are generalized confidence intervals (Weerahandi 1993, "Generalized confidence intervals"):
quantiles over draws in which s² (n − 1)/χ² replaces each σ². Negative components are set to 0.

A source is measured with the other seeds pinned at one value. If sources interact, another value gives another split,
and the components may exceed the total.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.contrasts import Fields, flat_config, pinned_seeds
from analysis.stats.seeds import CONFIDENCE, FEWEST_SEEDS, error_curves, final_errors, scored_split

SPLIT = {
    "family": "str",  # name of its first cell
    "rule": "str",
    "source": "str",
    "cell": "str",  # the cell that measured it; empty for a difference of variances
    "n": "int64",  # number of seeds of the cell, or of the smallest cell involved
    "deviation": "float64",  # percentage points
    "low": "float64",
    "high": "float64",
    "share": "float64",  # fraction of the total variance, 0 to 1; NaN if there is no total to which components add up
    "share_low": "float64",
    "share_high": "float64",
}

TOTAL, REST = "all together", "interplay and rest"

SOURCES = {
    "weights": "start of W",
    "feedback": "start of B",
    "order": "order of pictures",
    "crops": "augmentation",
    "noise": "mirror noise",
}

DRAWS = 20_000

SEED = 0


@dataclass(frozen=True)
class _Measured:
    """The variance of one cell over seeds, and draws from its generalized distribution."""

    cell: str
    n: int
    estimate: float
    draws: Any


@dataclass(frozen=True)
class _Component:
    source: str
    cell: str
    n: int
    estimate: float
    draws: Any


def variance_split(frames: Frames) -> pd.DataFrame:
    """Split the variance of the final error over seeds by source.

    Args:
        frames: The frames of a study in which cells pin seeds.

    Returns:
        One row per family and source, columns ``SPLIT``: standard deviation (percentage points) and fraction of the
        total variance, with 95 % intervals. Empty if no cell pins a seed, or no cell has three seeds.

    Reference:
        Weerahandi (1993), "Generalized confidence intervals".

    Example:
        >>> variance_split(frames)[["family", "source", "deviation", "share"]]  # doctest: +SKIP
    """
    final = final_errors(error_curves(frames, scored_split(frames)))
    chance = np.random.default_rng(SEED)
    rows: list[tuple[Any, ...]] = []
    for cells in _families(frames):
        fields = flat_config(frames.study.cells[cells[0]])
        measured = [_measured(cell, 100 * final.loc[final["cell"] == cell, "error"], chance) for cell in cells]
        held = {cell: pinned_seeds(flat_config(frames.study.cells[cell])) for cell in cells}
        idle = _idle(fields, bool(frames.epochs.loc[frames.epochs["cell"].isin(cells), "mirror_presentations"].any()))
        held = {cell: [name for name in names if name not in idle] for cell, names in held.items()}
        purposes = [name for name in fields if name.startswith("seeds.") and name not in idle]
        rows += _rows(cells[0], fields["rule.name"], [one for one in measured if one.n >= FEWEST_SEEDS], held, purposes)
    return pd.DataFrame(rows, columns=list(SPLIT)).astype(SPLIT)


def _families(frames: Frames) -> list[list[str]]:
    """Return groups of cells that differ only in their pinned seeds, if any of them pins one."""
    same_config: dict[str, list[str]] = {}
    for cell, config in frames.study.cells.items():
        rest = {name: value for name, value in flat_config(config).items() if not name.startswith("seeds.")}
        same_config.setdefault(json.dumps(rest, sort_keys=True), []).append(cell)
    return [
        cells
        for cells in same_config.values()
        if any(pinned_seeds(flat_config(frames.study.cells[cell])) for cell in cells)
    ]


def _idle(fields: Fields, mirrors: bool) -> list[str]:
    """Return the seeds that have no effect in these cells; ``mirrors`` tells whether the rule uses mirror noise."""
    return [
        *["seeds.noise"] * (not mirrors),
        *["seeds.feedback"] * (fields["rule.name"] in ("bp", "sham")),
        *["seeds.crops"] * (fields["data.augment"] == "none"),
    ]


def _measured(cell: str, errors: "pd.Series[float]", chance: np.random.Generator) -> _Measured:
    n = len(errors)
    estimate = float(errors.var()) if n > 1 else 0.0
    return _Measured(cell, n, estimate, estimate * (n - 1) / chance.chisquare(max(n - 1, 1), DRAWS))


def _rows(
    family: str, rule: str, measured: list[_Measured], held: dict[str, list[str]], purposes: list[str]
) -> list[tuple[Any, ...]]:
    total = next((one for one in measured if not held[one.cell]), None)
    parts = [part for name in purposes if (part := _component(name, purposes, total, measured, held)) is not None]
    of = total
    if total is not None:
        known = _with_rest(parts, total)
        of = total if len(known) > len(parts) or not any(part.cell for part in parts) else None  # there is a sum
        parts = [*known, _Component(TOTAL, total.cell, total.n, total.estimate, total.draws)]
    return [(family, rule, part.source, part.cell, part.n, *_deviation(part), *_share(part, of)) for part in parts]


def _component(
    name: str, purposes: list[str], total: _Measured | None, measured: list[_Measured], held: dict[str, list[str]]
) -> _Component | None:
    """Return the variance of one source, measured alone or as a difference to the total; None if impossible."""
    source = SOURCES.get(name.removeprefix("seeds."), name)
    alone = [other for other in purposes if other != name]
    for one in measured:
        if set(held[one.cell]) == set(alone):
            return _Component(source, one.cell, one.n, one.estimate, one.draws)
    for one in measured:
        if total is not None and held[one.cell] == [name]:
            n = min(one.n, total.n)
            return _Component(source, "", n, total.estimate - one.estimate, total.draws - one.draws)
    return None


def _with_rest(parts: list[_Component], total: _Measured) -> list[_Component]:
    """Add the remainder of the total beyond the sources measured alone, unless these significantly exceed it."""
    alone = [part for part in parts if part.cell]
    if not alone:
        return parts
    estimate = total.estimate - sum(part.estimate for part in alone)
    draws = total.draws - sum(part.draws for part in alone)
    if np.quantile(draws, (1 + CONFIDENCE) / 2) <= 0:
        return parts
    return [*parts, _Component(REST, "", min(part.n for part in alone), estimate, draws)]


def _deviation(part: _Component) -> tuple[float, float, float]:
    low, high = np.quantile(part.draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return _root(part.estimate), _root(low), _root(high)


def _share(part: _Component, total: _Measured | None) -> tuple[float, float, float]:
    if total is None or part.source == TOTAL or total.estimate == 0:
        return (np.nan,) * 3
    low, high = np.quantile(part.draws / total.draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    share, low, high = np.clip([part.estimate / total.estimate, low, high], 0, 1)
    return float(share), float(low), float(high)


def _root(variance: float) -> float:
    return float(max(variance, 0.0) ** 0.5)
