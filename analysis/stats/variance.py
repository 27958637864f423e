"""Where the scatter over seeds comes from: a study's variance split by its sources, where seeds were pinned one by one.

Cells that differ in nothing but their pinned seeds (config field ``seeds``) are one family. In a cell whose seeds are
all pinned but one purpose's, that purpose alone makes the variance; in one that pins a single purpose, it is what the
whole loses. What the whole has beyond all purposes measured alone is their interplay and whatever was not varied alone.

Each cell's variance s² is independent, with (n − 1) s²/σ² ~ χ² where errors are normal. Intervals of differences and
shares are generalised ones (Weerahandi 1993, "Generalized confidence intervals"): quantiles over draws of s² (n − 1)/χ²
in place of each σ². A component below 0 is 0.

A source is measured at the one value that the others are pinned at: where they interact, another value gives another
split, and the parts may exceed the whole.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.contrasts import Fields, flat, pinned
from analysis.stats.seeds import CONFIDENCE, FEWEST_SEEDS, error_curves, final_errors, scored_split

SPLIT = {
    "family": "str",  # its first cell
    "rule": "str",
    "source": "str",
    "cell": "str",  # that measured it; empty where it is a difference
    "n": "int64",  # seeds, of the cell or of the smallest that enters
    "deviation": "float64",  # percentage points
    "low": "float64",
    "high": "float64",
    "share": "float64",  # of the whole's variance, 0 to 1; NaN without a whole that they add up to
    "share_low": "float64",
    "share_high": "float64",
}

WHOLE, REST = "all together", "interplay and rest"

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
    """One cell's variance over seeds, and draws of what the true one may be."""

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
    """One row a family and source, columns SPLIT; empty where no cell pins a seed, or none has three seeds."""
    final = final_errors(error_curves(frames, scored_split(frames)))
    chance = np.random.default_rng(SEED)
    rows: list[tuple[Any, ...]] = []
    for cells in _families(frames):
        fields = flat(frames.study.cells[cells[0]])
        measured = [_measured(cell, 100 * final.loc[final["cell"] == cell, "error"], chance) for cell in cells]
        held = {cell: pinned(flat(frames.study.cells[cell])) for cell in cells}
        idle = _idle(fields, bool(frames.epochs.loc[frames.epochs["cell"].isin(cells), "mirror_presentations"].any()))
        held = {cell: [name for name in names if name not in idle] for cell, names in held.items()}
        purposes = [name for name in fields if name.startswith("seeds.") and name not in idle]
        rows += _rows(cells[0], fields["rule.name"], [one for one in measured if one.n >= FEWEST_SEEDS], held, purposes)
    return pd.DataFrame(rows, columns=list(SPLIT)).astype(SPLIT)


def _families(frames: Frames) -> list[list[str]]:
    """The cells that differ in pinned seeds alone, where some cell pins one."""
    alike: dict[str, list[str]] = {}
    for cell, config in frames.study.cells.items():
        rest = {name: value for name, value in flat(config).items() if not name.startswith("seeds.")}
        alike.setdefault(json.dumps(rest, sort_keys=True), []).append(cell)
    return [cells for cells in alike.values() if any(pinned(flat(frames.study.cells[cell])) for cell in cells)]


def _idle(fields: Fields, mirrors: bool) -> list[str]:
    """The purposes that draw nothing in these cells, whether they are pinned or not; ``mirrors``: the rule shows its
    layers noise."""
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
    whole = next((one for one in measured if not held[one.cell]), None)
    parts = [part for name in purposes if (part := _component(name, purposes, whole, measured, held)) is not None]
    of = whole
    if whole is not None:
        known = _with_rest(parts, whole)
        of = whole if len(known) > len(parts) or not any(part.cell for part in parts) else None  # there is a sum
        parts = [*known, _Component(WHOLE, whole.cell, whole.n, whole.estimate, whole.draws)]
    return [(family, rule, part.source, part.cell, part.n, *_deviation(part), *_share(part, of)) for part in parts]


def _component(
    name: str, purposes: list[str], whole: _Measured | None, measured: list[_Measured], held: dict[str, list[str]]
) -> _Component | None:
    """The variance of one purpose, measured alone, else as what the whole loses without it; else None."""
    source = SOURCES.get(name.removeprefix("seeds."), name)
    alone = [other for other in purposes if other != name]
    for one in measured:
        if set(held[one.cell]) == set(alone):
            return _Component(source, one.cell, one.n, one.estimate, one.draws)
    for one in measured:
        if whole is not None and held[one.cell] == [name]:
            n = min(one.n, whole.n)
            return _Component(source, "", n, whole.estimate - one.estimate, whole.draws - one.draws)
    return None


def _with_rest(parts: list[_Component], whole: _Measured) -> list[_Component]:
    """The parts, and what the whole has beyond those measured alone; nothing more where these exceed it for sure."""
    alone = [part for part in parts if part.cell]
    if not alone:
        return parts
    estimate = whole.estimate - sum(part.estimate for part in alone)
    draws = whole.draws - sum(part.draws for part in alone)
    if np.quantile(draws, (1 + CONFIDENCE) / 2) <= 0:
        return parts
    return [*parts, _Component(REST, "", min(part.n for part in alone), estimate, draws)]


def _deviation(part: _Component) -> tuple[float, float, float]:
    low, high = np.quantile(part.draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return _root(part.estimate), _root(low), _root(high)


def _share(part: _Component, whole: _Measured | None) -> tuple[float, float, float]:
    if whole is None or part.source == WHOLE or whole.estimate == 0:
        return (np.nan,) * 3
    low, high = np.quantile(part.draws / whole.draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    share, low, high = np.clip([part.estimate / whole.estimate, low, high], 0, 1)
    return float(share), float(low), float(high)


def _root(variance: float) -> float:
    return float(max(variance, 0.0) ** 0.5)
