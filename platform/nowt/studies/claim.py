"""A claim of equivalence, stated before the runs. Data only; ``nowt report`` tests it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nowt.config.run_config import RunConfig
from nowt.core.errors import did_you_mean, require
from nowt.core.fields import check_fields, make_plain


@dataclass(frozen=True)
class Claim:
    """A claim, stated before the runs: the error of each of these cells is within a margin of the reference's error.

    ``nowt report`` tests it at α = 0.05, once all runs of these cells and of the reference have ended. Each cell has
    two one-sided paired t tests over seeds. The claim is shown if every cell is. Since all of them must pass, there is
    no correction for their number (intersection-union test). A cell is not tested if fewer than three seeds were run,
    if a run ended at chance, or if its δ angle is not below ``max_delta_angle``.

    Args:
        cells: Names of the cells, as a tuple. At least one, without the reference.
        margin: Equivalence margin in percentage points of error; above 0 and at most 100.
        max_delta_angle: The δ angle that each cell must stay below, in degrees; above 0 and at most 180. The angle is
            the median over layers, averaged over the epochs of the second half of training and then over seeds. If it
            is undefined anywhere, the cell is not tested. A study or search is refused if a cell never measures it
            (rule ``bp``, or ``probe.interval=0``). Default: ``None``, no condition.

    Raises:
        ConfigError: If a value has another type or is out of its range, or a cell is named twice.

    Reference:
        Berger (1982), "Multiparameter hypothesis testing and acceptance sampling"; Schuirmann (1987).

    Example:
        >>> from nowt import Claim
        >>> Claim(cells=("wm", "kp"), margin=1.5, max_delta_angle=20.0).margin
        1.5
    """

    cells: tuple[str, ...]
    margin: float
    max_delta_angle: float | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_fields(self, "claim.")
        require(bool(self.cells), 'claim.cells is empty: name at least one cell, such as ("kp",)')
        require(len(set(self.cells)) == len(self.cells), f"claim.cells names a cell twice: {', '.join(self.cells)}")
        require(0 < self.margin <= 100, f"claim.margin is {self.margin}: it must be above 0 and at most 100 points")
        most = self.max_delta_angle
        require(most is None or 0 < most <= 180, f"claim.max_delta_angle is {most}: it must be above 0 and at most 180")

    def to_json(self) -> dict[str, Any]:
        """Return the claim as plain JSON data."""
        return {**asdict(self), "cells": list(self.cells)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Claim":
        """Return the claim that ``to_json`` wrote. Fields that this version does not know are left out."""
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})


def check_claim(what: str, claim: Claim | None, reference: str, cells: Mapping[str, Iterable[RunConfig]]) -> None:
    """Raise ConfigError unless the ``claim`` of a study or search compares some of its cells with its reference, and
    each of them measures the δ angle if the claim is about it.

    ``what`` names the study or search in messages. ``cells`` are all cells, with the configs that their runs may have.
    """
    if claim is None:
        return
    example = 'Claim(cells=("kp",), margin=1.5)'
    require(isinstance(claim, Claim), f"{what}: claim is {claim!r}: it must be like {example}")
    require(reference in cells, f"{what} has a claim, but no reference: give the cell to compare with (reference=...)")
    for cell in claim.cells:
        named = f"{what}: its claim names {cell!r}, which is"
        require(cell != reference, f"{named} the reference: name the cells that are compared with it")
        require(cell in cells, f"{named} not one of its cells{did_you_mean(cell, cells)}: {', '.join(cells)}")
        lacking = next(filter(None, map(_why_no_angle, cells[cell])), "") if claim.max_delta_angle is not None else ""
        about = f"{what}: its claim has max_delta_angle={claim.max_delta_angle} and names {cell!r}"
        require(not lacking, f"{about}, {lacking}")


def _why_no_angle(config: RunConfig) -> str:
    """Return why runs with this config measure no δ angle, and what to do; empty if they do."""
    if config.rule.name == "bp":
        return "whose rule is bp: it has no feedback weights, and so no δ angle: leave the cell or max_delta_angle out"
    if config.probe.interval == 0:
        return "whose probe.interval is 0, so that no δ angle is measured: set it to 1 or more, or leave out the limit"
    return ""
