"""A search space: what is searched, the budget, the sampler and early stopping. Data only."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from nowt.config.run_config import config_to_json
from nowt.config.run_key import non_default_fields
from nowt.core.errors import require
from nowt.core.fields import make_plain
from nowt.studies.claim import Claim, check_claim
from nowt.studies.search.cells import SearchCell
from nowt.studies.search.confirmation import Confirm
from nowt.studies.search.params import Choice, check_fields, identify_param, param_to_json
from nowt.studies.study import check_name


@dataclass(frozen=True)
class Budget:
    """The budget of each cell of a search. No trial starts in a cell once its budget is spent.

    The last trial may exceed the budget, because it is not interrupted. The cost of a trial includes the mirror noise
    of weight mirror and the epoch in which a trial diverged.

    Args:
        amount: Budget of each cell, in ``unit``; above 0. Recommended: 60 trials or more to find a setting with five
            or six parameters.
        unit: ``"trials"``, ``"presentations"`` (training images and images of mirror noise), ``"flops"`` (floating
            point operations) or ``"seconds"`` (of training). Default: ``"trials"``. Recommended to compare rules whose
            steps cost differently: ``"flops"``.

    Raises:
        ConfigError: If the amount is not positive and finite, or not an integer number of trials.

    Example:
        >>> from nowt import Budget
        >>> Budget(60).unit
        'trials'
        >>> eight_hours = Budget(8 * 3600, "seconds")
    """

    amount: float
    unit: Literal["trials", "presentations", "flops", "seconds"] = "trials"

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "budget.", ("amount", "unit"))
        given = f"a budget of {self.amount} {self.unit}"
        require(0 < self.amount < float("inf"), f"{given}: it must be above 0 and finite")
        require(self.unit != "trials" or self.amount % 1 == 0, f"{given}: the number of trials must be an integer")


@dataclass(frozen=True)
class EarlyStopping:
    """When a search stops a trial early. A trial is only compared with trials of its own cell.

    The comparison takes place at rungs, which are epochs before the last one.

    Args:
        kind: ``"halving"`` is asynchronous successive halving: a trial continues past a rung if its validation error is
            among the lowest 1/``factor`` there. ``"median"`` compares at every epoch: a trial stops if its error is
            above the median of the others. ``"none"`` runs every trial to its last epoch; recommended to compare
            rules. Default: ``"halving"``.
        first_rung: Epoch of the first rung, 1 or later. Default: ``None``, the first epoch by which Kolen-Pollack
            feedback can align under the base config's schedule, so that no rule is judged before that.
        factor: For halving: one in ``factor`` trials continues past a rung, and the next rung is ``factor`` times as
            many epochs later. 2 or more; recommended: 2 to 4. Default: 3.

    Raises:
        ConfigError: If a value is out of its range, or has no effect for this ``kind``.

    Reference:
        Li et al. (2020), "A system for massively parallel hyperparameter tuning".

    Example:
        >>> from nowt import EarlyStopping
        >>> stopping = EarlyStopping("halving", first_rung=4, factor=3)  # compares at epochs 4, 12, 36, ...
        >>> no_stopping = EarlyStopping("none")
    """

    kind: Literal["none", "halving", "median"] = "halving"
    first_rung: int | None = None
    factor: int = 3

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "stopping.", ("kind", "first_rung", "factor"))
        require(self.factor >= 2, f"stopping.factor is {self.factor}: it must be 2 or more")
        rung = f"stopping.first_rung is {self.first_rung}: it must be 1 or more"
        require(self.first_rung is None or self.first_rung >= 1, rung)
        no_effect = f"has no effect with kind={self.kind!r}: leave it out"
        require(self.kind != "none" or self.first_rung is None, f"stopping.first_rung {no_effect}")
        require(self.kind == "halving" or self.factor == 3, f"stopping.factor {no_effect}")


@dataclass(frozen=True)
class SearchSpace:
    """A hyperparameter search over one or more cells, each with the same budget.

    ``nowt search FILE.py`` runs the space that the file's function ``space()`` returns.

    Args:
        name: Name of the search: letters, digits, ``_`` and ``-``.
        question: The question that the search answers, as one sentence.
        cells: One or more cells, as a tuple.
        budget: Budget of each cell.
        sampler: ``"tpe"`` learns from the cell's earlier trials (Bergstra et al. 2011); recommended to find a good
            setting. ``"quasi_random"`` (Sobol) and ``"random"`` depend on the parameter's name and the number of the
            trial only, so that cells that share a parameter try the same values; recommended to compare rules, with
            ``EarlyStopping("none")``. ``"grid"`` tries every combination once and requires choices. Default: ``"tpe"``.
        stopping: Early stopping. Default: successive halving.
        seed: Seed of the sampler. Default: 0.
        run_seed: Seed of every trial's run. Default: 0.
        reference: Name of the cell that the others are compared with. Default: ``""``, which means ``bp`` if there is a
            cell of this name, otherwise the first cell.
        confirm: How the best settings are trained again with new seeds after the search. Default: ``None``, not at all,
            unless ``nowt search --confirm`` says so.
        claim: A claim about the picks of ``confirm``, stated before the search. ``nowt report NAME_picks`` tests it.
            Default: ``None``.

    Raises:
        ConfigError: If a value is invalid, two cells have one name, a cell uses test images or sets a seed, or the
            claim names another cell than one to compare with the reference, or needs a δ angle that a cell lacks.

    Example:
        >>> from dataclasses import replace
        >>> from nowt import Budget, KolenPollack, Range, SearchCell, SearchSpace, recipes
        >>> def space() -> SearchSpace:
        ...     config = replace(recipes.digits(KolenPollack()), test=False)
        ...     cell = SearchCell("kp", config, (Range("optim.weight_decay", 1e-4, 5e-2, log=True),))
        ...     return SearchSpace("kp_decay", "Which weight decay does Kolen-Pollack need?", (cell,), Budget(20))
        >>> space().baseline
        'kp'
    """

    name: str
    question: str
    cells: tuple[SearchCell, ...]
    budget: Budget
    sampler: Literal["tpe", "quasi_random", "random", "grid"] = "tpe"
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    seed: int = 0
    run_seed: int = 0
    reference: str = ""
    confirm: Confirm | None = None
    claim: Claim | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, f"search {self.name}: ", ("name", "question", "sampler", "seed", "run_seed", "reference"))
        check_name("search", self.name)
        self._check_types()
        names = [cell.name for cell in self.cells]
        require(bool(names), f"search {self.name} has no cells")
        require(len(set(names)) == len(names), f"search {self.name} has two cells with the same name: {names}")
        known = self.reference in ("", *names)
        require(known, f"search {self.name}: reference is {self.reference!r}: it must be a cell: {', '.join(names)}")
        choices = all(isinstance(p, Choice) for cell in self.cells for p in cell.params)
        require(self.sampler != "grid" or choices, f"search {self.name}: sampler 'grid' needs choices, not ranges")
        for cell in self.cells:
            tested = "it would choose settings by test images: set test=False, as in replace(config, test=False)"
            given = f"the config of cell {cell.name} has test={cell.config.test!r}"
            require(not cell.config.test, f"search {self.name}: {given}: {tested}")
            seed = f"cell {cell.name} has seed={cell.config.seed}: leave it out; run_seed of the space sets it"
            require(cell.config.seed == 0, f"search {self.name}: {seed}")
        configs = {cell.name: cell.extreme_configs() for cell in self.cells}
        check_claim(f"search {self.name}", self.claim, self.baseline, configs)

    def _check_types(self) -> None:
        """Raise ConfigError if the budget, the stopping or the cells have another type, as after a typing error."""
        examples = {"budget": (Budget, "Budget(20)"), "stopping": (EarlyStopping, 'EarlyStopping("halving")')}
        for name, (kind, example) in examples.items():
            given = getattr(self, name)
            require(isinstance(given, kind), f"search {self.name}: {name} is {given!r}: it must be like {example}")
        confirm = f"confirm is {self.confirm!r}: it must be like Confirm(2, seeds=2, pick_seeds=8)"
        require(isinstance(self.confirm, Confirm | None), f"search {self.name}: {confirm}")
        cells, example = f"search {self.name}: cells", "(SearchCell(...),), in parentheses and with a comma"
        given = type(self.cells).__name__  # the repr of a SearchCell is too long for a message
        require(isinstance(self.cells, tuple | list), f"{cells} is {given}: it must be like {example}")
        for cell in self.cells:
            require(isinstance(cell, SearchCell), f"{cells} has {type(cell).__name__}: each must be a SearchCell(...)")

    @property
    def baseline(self) -> str:
        """Name of the cell that the others are compared with."""
        names = [cell.name for cell in self.cells]
        return self.reference or ("bp" if "bp" in names else names[0])

    @cached_property
    def key(self) -> str:
        """Name and a hash of what is searched and how. The budget is not part of it, so that a larger budget continues
        the same search; neither are ``confirm`` and ``claim``, which change no trial."""
        cells = [
            [c.name, non_default_fields(replace(c.config, seed=0)), [identify_param(p) for p in c.params]]
            for c in self.cells
        ]
        method = [self.sampler, asdict(self.stopping), self.seed, self.run_seed]
        digest = hashlib.sha256(json.dumps([cells, method], sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.name}-{digest}"


def space_to_json(space: SearchSpace) -> dict[str, Any]:
    """Return the space as plain JSON data, as in a study file."""
    cells = [
        {"name": c.name, "config": config_to_json(c.config), "params": [param_to_json(p) for p in c.params]}
        for c in space.cells
    ]
    method = {"sampler": space.sampler, "stopping": asdict(space.stopping), "budget": asdict(space.budget)}
    head = {"name": space.name, "question": space.question, "reference": space.baseline}
    later = {} if space.confirm is None else {"confirm": space.confirm.to_json()}
    later |= {} if space.claim is None else {"claim": space.claim.to_json()}
    return {**head, "seeds": [space.run_seed], "seed": space.seed, **method, **later, "cells": cells}
