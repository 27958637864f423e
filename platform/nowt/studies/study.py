"""A study: cells times seeds. It is data only; ``ablation`` runs it."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nowt.config.placement import Keep
from nowt.config.run_config import RunConfig, config_to_json
from nowt.config.run_key import non_default_fields
from nowt.core.errors import did_you_mean, require
from nowt.core.fields import make_plain
from nowt.rules.registry import short_name
from nowt.studies.claim import Claim, check_claim


@dataclass(frozen=True)
class Cell:
    """One point of an ablation: a config without a seed, and its name.

    A study runs each cell once per seed.

    Args:
        name: name of the cell in tables and figures. It must be unique within its study.
        config: config of the cell's runs. Its ``seed`` must be 0 (default), because the study sets the seeds.

    Example:
        >>> from nowt import Cell, KolenPollack, recipes
        >>> Cell("kp", recipes.digits(KolenPollack())).config.epochs
        10
    """

    name: str
    config: RunConfig

    def __post_init__(self) -> None:
        make_plain(self)


@dataclass(frozen=True)
class Study:
    """An ablation: every cell is trained with every seed.

    With one seed, all cells start from the same weights W and see the same images in the same order, so that cells are
    compared in pairs. ``nowt ablate`` runs a study; run again, it runs only what is missing.

    Args:
        name: name of the study, a part of file names. Letters, digits, ``_`` and ``-``; after the first character also
            spaces and ``.+=``.
        question: the question that the study answers, in one sentence. Figures show it.
        cells: the cells, with unique names. At least one.
        seeds: the seeds, each once. At least one. Use five or more for a claim; fewer than three give neither an
            interval nor a test.
        reference: name of the cell that the gaps of the other cells are computed against. Default ``"bp"``; a study
            that leaves the default and has no cell ``bp`` has no reference, and its reports give no gaps.
        keep: checkpoints that remain when a run has ended. ``"last"`` (default): the last one. ``"all"``: one per
            epoch. A tuple of epochs such as ``(0, 10, 50)``: these and the last one. ``nowt probe`` measures them.
        claim: a claim, stated before the runs, that some cells are equivalent to the reference. ``nowt report`` tests
            it. Default: ``None``.
        search: key of the search whose best settings the cells are. ``nowt search`` sets it, so that the report knows
            whether the claim was stated before the search. Default: ``""``, none.

    Raises:
        ConfigError: if a name is not allowed or not unique, cells or seeds are empty or no tuples, a seed occurs
            twice, a cell sets a seed, ``reference`` is not a cell, ``keep`` is malformed, or the claim names another
            cell than one to compare with the reference, or needs a δ angle that a cell does not measure.

    Example:
        Two rules with three seeds are six runs:

        >>> from nowt import Backprop, Cell, KolenPollack, Study, recipes
        >>> cells = tuple(Cell(rule.name, recipes.digits(rule)) for rule in (Backprop(), KolenPollack()))
        >>> study = Study("bp_or_kp", "Does Kolen-Pollack match backprop on digits?", cells, seeds=(0, 1, 2))
        >>> len(study.runs())
        6
    """

    name: str
    question: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    reference: str = "bp"
    keep: Keep = "last"
    claim: Claim | None = None
    search: str = ""

    def __post_init__(self) -> None:
        make_plain(self)
        check_name("study", self.name)
        cells = "cells must be a tuple such as (Cell(...), Cell(...))"
        require(isinstance(self.cells, Iterable), f"study {self.name}: {cells}")
        seeds = f"seeds is {self.seeds!r}: it must be a tuple such as (0, 1, 2)"
        require(isinstance(self.seeds, Iterable), f"study {self.name}: {seeds}")
        names = [cell.name for cell in self.cells]
        require(bool(names), f"study {self.name} has no cells")
        require(bool(self.seeds), f"study {self.name} has no seeds")
        require(len(set(self.seeds)) == len(self.seeds), f"study {self.name} names a seed twice: {self.seeds}")
        _check_keep(self.name, self.keep)
        require(len(set(names)) == len(names), f"study {self.name} has two cells of one name: {names}")
        for cell in self.cells:
            seed = f"cell {cell.name} has seed={cell.config.seed}: leave it out, the study gives seeds"
            require(cell.config.seed == 0, f"study {self.name}: {seed}")
        _check_reference(self.name, self.reference, names)
        check_claim(f"study {self.name}", self.claim, self.reference, {cell.name: [cell.config] for cell in self.cells})

    @property
    def key(self) -> str:
        """The name and a hash of the cells. Seeds, question, ``keep``, ``claim`` and ``search`` do not change it, so
        that a study with more seeds is the same study."""
        cells = [[cell.name, non_default_fields(cell.config)] for cell in self.cells]  # whose seed is 0
        digest = hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.name}-{digest}"

    @property
    def epochs(self) -> int:
        """The number of epochs of the longest run."""
        return max(cell.config.epochs for cell in self.cells)

    def runs(self) -> list[tuple[Cell, int, RunConfig]]:
        """Return every (cell, seed, config), seed by seed, so that a study that stops early has complete pairs."""
        return [(c, seed, c.config.with_seed(seed)) for seed in self.seeds for c in self.cells]


def check_name(what: str, name: str) -> None:
    """Raise ConfigError for a name that cannot be part of a file name and of the name of an Optuna study."""
    allowed = "letters, digits, _ and -, and after the first also spaces and . + ="
    require(bool(re.fullmatch(r"[\w-][\w .+=-]*", name)), f"a {what} is called {name!r}: it may have {allowed}")


def _check_reference(name: str, reference: str, cells: list[str]) -> None:
    """Raise ConfigError for a reference that is not a cell, except for the default."""
    problem = f"reference {reference!r} is not one of its cells{did_you_mean(short_name(reference), cells)}"
    require(reference in ("bp", *cells), f"study {name}: {problem}: {', '.join(cells)}")


def _check_keep(name: str, keep: Keep) -> None:
    epochs = () if keep in ("last", "all") else keep
    ok = not isinstance(epochs, str) and keep != () and all(type(e) is int and e >= 0 for e in epochs)
    require(ok, f"study {name}: keep is {keep!r}: it must be 'last', 'all', or epochs such as (0, 10, 50)")


def study_to_json(study: Study) -> dict[str, Any]:
    """Return the study as plain JSON data."""
    cells = [{"name": cell.name, "config": config_to_json(cell.config)} for cell in study.cells]
    return {
        "name": study.name,
        "question": study.question,
        "reference": study.reference,
        "seeds": list(study.seeds),
        "keep": study.keep if isinstance(study.keep, str) else list(study.keep),
        **({} if study.claim is None else {"claim": study.claim.to_json()}),
        **({"search": study.search} if study.search else {}),
        "cells": cells,
    }
