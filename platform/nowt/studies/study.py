"""A study: cells times seeds over a metric. Data only; nothing here runs anything."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from nowt.config.placement import Keep
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import non_default_fields
from nowt.core.errors import require


@dataclass(frozen=True)
class Cell:
    """One point of an ablation: a config without its seed, and the name figures give it."""

    name: str
    config: RunConfig


@dataclass(frozen=True)
class Study:
    """An ablation: every cell with every seed."""

    name: str
    question: str  # one sentence a stranger understands
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    reference: str = "bp"  # the cell that the others' gap is taken to
    keep: Keep = "last"  # checkpoints that stay: "last", "all", or epochs (0, 10, 50), which `nowt probe` can measure

    def __post_init__(self) -> None:
        check_name("study", self.name)
        names = [cell.name for cell in self.cells]
        require(bool(names), f"study {self.name} has no cells")
        require(bool(self.seeds), f"study {self.name} has no seeds")
        require(len(set(self.seeds)) == len(self.seeds), f"study {self.name} names a seed twice: {self.seeds}")
        _check_keep(self.name, self.keep)
        require(len(set(names)) == len(names), f"study {self.name} has two cells of one name: {names}")
        for cell in self.cells:
            seed = f"cell {cell.name} has seed={cell.config.seed}: leave it out, the study gives seeds"
            require(cell.config.seed == 0, f"study {self.name}: {seed}")

    @property
    def key(self) -> str:
        """Name and a hash of question-free content: the same key is the same study, whatever its number of seeds."""
        cells = [[cell.name, non_default_fields(replace(cell.config, seed=0))] for cell in self.cells]
        digest = hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.name}-{digest}"

    @property
    def epochs(self) -> int:
        """Epochs of the longest run."""
        return max(cell.config.epochs for cell in self.cells)

    def runs(self) -> list[tuple[Cell, int, RunConfig]]:
        """Every (cell, seed, config), seed by seed, so that an early stop leaves whole comparisons."""
        return [(c, seed, replace(c.config, seed=seed)) for seed in self.seeds for c in self.cells]


def check_name(what: str, name: str) -> None:
    """Raises ConfigError for a name that cannot be part of a file's name and of an Optuna study's."""
    allowed = "letters, digits, _ and -, and after the first also spaces and . + ="
    require(bool(re.fullmatch(r"[\w-][\w .+=-]*", name)), f"a {what} is called {name!r}: it may have {allowed}")


def _check_keep(name: str, keep: Keep) -> None:
    epochs = () if keep in ("last", "all") else keep
    ok = not isinstance(epochs, str) and keep != () and all(type(e) is int and e >= 0 for e in epochs)
    require(ok, f"study {name}: keep is {keep!r}: it must be 'last', 'all', or epochs such as (0, 10, 50)")


def study_to_json(study: Study) -> dict[str, Any]:
    """The study as plain JSON data."""
    cells = [{"name": cell.name, "config": config_to_json(cell.config)} for cell in study.cells]
    return {
        "name": study.name,
        "question": study.question,
        "reference": study.reference,
        "seeds": list(study.seeds),
        "keep": study.keep if isinstance(study.keep, str) else list(study.keep),
        "cells": cells,
    }
