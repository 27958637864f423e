"""The comparisons of a study: which cells are compared, and in which factor they differ.

Cells are grouped by rule and by context: the network, data, optimizer and every other field that does not belong to the
rule. The base cell of a group is the reference if the group contains it, and otherwise the cell that has most fields in
common with the others. The comparisons are:

- The base cell of a group with the base cell of the reference's rule in the same context; the factor is the rule. If a
  study has no such pair for a rule, the rule's first base cell is compared with the reference.
- The other cells of a group with its base cell; the factors are fields of the rule.
- The base cell of a group with the base cell of the same rule in the reference's context; the factors are the network,
  the optimizer, and so on.

Cells that pin a seed (config field ``seeds``) measure variance, not effects, and are excluded.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.frames.searches import setting_text
from analysis.frames.studies import StudyPlan
from nowt.core.fields import flatten

Fields = dict[str, Any]  # a config's values by dotted path, without the seed

Groups = dict[tuple[str, str], list[str]]  # cells by rule and context, the base cell first

RULE = "rule"

OWN = "rule and its settings"

MANY = 3  # largest number of differing fields that are named


@dataclass(frozen=True)
class Contrast:
    """A cell, the cell it is compared with, and what differs between them."""

    cell: str
    against: str
    factor: str  # ``rule``, or the dotted paths of the fields that differ
    change: str  # their values in ``against`` and in ``cell``; empty if many differ


def contrasts(study: StudyPlan) -> list[Contrast]:
    """Return the study's comparisons: comparisons of rules first, each kind in the study's order."""
    cells = {name: flat_config(config) for name, config in study.cells.items()}
    cells = {name: fields for name, fields in cells.items() if not pinned_seeds(fields)}
    if study.reference not in cells:
        return []
    groups = _grouped(cells, study.reference)
    found = [*_of_rules(groups, cells, study.reference), *_of_settings(groups, cells, study.reference)]
    order = list(study.cells)
    return sorted(found, key=lambda one: (one.factor not in (RULE, OWN), order.index(one.cell)))


def references(study: StudyPlan) -> dict[str, str]:
    """Return, for each cell that pins no seed, the cell that it is compared with.

    This is the reference's rule in the cell's own context if the study has such a cell, and otherwise the reference. A
    cell that others are compared with is its own counterpart: the reference, or its rule in another context that has
    cells of further rules.
    """
    cells = {name: flat_config(config) for name, config in study.cells.items()}
    base = _of_rule(cells.get(study.reference, {}))
    first = sorted(cells, key=lambda name: name != study.reference)  # of cells with the same config
    by_fields = {json.dumps(cells[name], sort_keys=True): name for name in reversed(first)}
    found = {}
    for name, fields in cells.items():
        counterpart = json.dumps({**_context(fields), **base}, sort_keys=True)
        found[name] = by_fields.get(counterpart, study.reference)
    found = {name: against for name, against in found.items() if not pinned_seeds(cells[name])}
    used = {against for name, against in found.items() if name != against}
    return {name: against if name != against or name in used else study.reference for name, against in found.items()}


def flat_config(config: Mapping[str, Any]) -> Fields:
    """Return a config's values by dotted path, without the run's seed."""
    return {name: value for name, value in flatten(config).items() if name != "seed" and value != {}}


def pinned_seeds(fields: Fields) -> list[str]:
    """Return the fields of the seeds that the cell pins."""
    return [name for name, value in fields.items() if name.startswith("seeds.") and value is not None]


def value_text(value: Any) -> str:
    """Return a setting's value as text for readers: as ``setting_text``, with yes, no and none."""
    if isinstance(value, list):
        return ", ".join(map(value_text, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return setting_text(value)


def differing_fields(one: Fields, other: Fields) -> list[str]:
    """Return the fields in which two cells differ, or that only one of them has."""
    return [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]


def _of_rules(groups: Groups, cells: Mapping[str, Fields], reference: str) -> Iterator[Contrast]:
    rule, _ = _place(cells[reference])
    paired = {name for name, context in groups if (rule, context) in groups}
    for (name, context), members in groups.items():
        if name != rule and (rule, context) in groups:
            yield Contrast(members[0], groups[rule, context][0], RULE, name)
        elif name not in paired:
            paired.add(name)
            yield Contrast(members[0], reference, OWN, name)


def _of_settings(groups: Groups, cells: Mapping[str, Fields], reference: str) -> Iterator[Contrast]:
    _, home = _place(cells[reference])
    for (name, _), members in groups.items():
        base = _base_cell(groups, name, home)
        if members[0] != base:
            yield _contrast(cells, members[0], base)
        for other in members[1:]:
            yield _contrast(cells, other, members[0])


def _grouped(cells: Mapping[str, Fields], reference: str) -> Groups:
    groups: Groups = {}
    for name, fields in cells.items():
        groups.setdefault(_place(fields), []).append(name)
    return {place: _base_first(cells, members, reference) for place, members in groups.items()}


def _base_first(cells: Mapping[str, Fields], members: list[str], reference: str) -> list[str]:
    def distance(name: str) -> tuple[bool, int]:
        return name != reference, sum(len(differing_fields(cells[name], cells[other])) for other in members)

    base = min(members, key=distance)
    return [base, *(name for name in members if name != base)]


def _base_cell(groups: Groups, rule: str, home: str) -> str:
    """Return the base cell of ``rule`` in the reference's context, or the rule's first base cell."""
    first = next(members[0] for (name, _), members in groups.items() if name == rule)
    return groups.get((rule, home), [first])[0]


def _place(fields: Fields) -> tuple[str, str]:
    return fields["rule.name"], json.dumps(_context(fields), sort_keys=True)


def _context(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if not name.startswith("rule.")}


def _of_rule(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name.startswith("rule.")}


def _contrast(cells: Mapping[str, Fields], cell: str, against: str) -> Contrast:
    names = differing_fields(cells[cell], cells[against])
    if len(names) > MANY:
        return Contrast(cell, against, f"{len(names)} settings, against {against}", "")
    return Contrast(cell, against, ", ".join(names), _changed(cells[against], cells[cell], names))


def _changed(before: Fields, after: Fields, names: Iterable[str]) -> str:
    return ", ".join(f"{value_text(before.get(name))} → {value_text(after.get(name))}" for name in names)
