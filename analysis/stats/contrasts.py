"""Which cells of a study are compared with which: the ones that differ in one thing, and in what.

Cells fall into groups of one rule and one surrounding (net, data, optimiser, ...: all that is not a field of the rule).
A group's plain cell is the reference, if it is there, or else the one that has most in common with the others. Then
- a group's plain cell is compared with the plain cell of the reference's rule in the same surrounding: the rule; where
  the study has no such pair of a rule, its first plain cell is compared with the reference: rule and settings;
- its other cells are compared with its plain cell: fields of the rule;
- its plain cell is compared with its rule's plain cell in the reference's surrounding: net, optimiser, ...
Cells that pin a seed (config field ``seeds``) tell of variance, not of effects, and are left out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.frames.studies import StudyPlan
from nowt.core.fields import flatten

Fields = dict[str, Any]  # a config's values by dotted path, without its seed

Groups = dict[tuple[str, str], list[str]]  # cells by rule and surrounding, the plain one first

RULE = "rule"

OWN = "rule, with settings of its own"

MANY = 3  # fields that differ, at most, to be named


@dataclass(frozen=True)
class Contrast:
    """A cell, what it is compared with, and what differs between the two."""

    cell: str
    against: str
    factor: str  # ``rule``, or the dotted fields that differ
    change: str  # their values there and here; empty where many differ


def contrasts(study: StudyPlan) -> list[Contrast]:
    """The study's comparisons, those of rules first, each kind in the study's order."""
    cells = {name: flat(config) for name, config in study.cells.items()}
    cells = {name: fields for name, fields in cells.items() if not pinned(fields)}
    if study.reference not in cells:
        return []
    groups = _grouped(cells, study.reference)
    found = [*_of_rules(groups, cells, study.reference), *_of_settings(groups, cells, study.reference)]
    order = list(study.cells)
    return sorted(found, key=lambda one: (one.factor not in (RULE, OWN), order.index(one.cell)))


def references(study: StudyPlan) -> dict[str, str]:
    """For each cell that pins no seed, the cell that its gap is taken to.

    The reference's rule in the cell's own surrounding where the study has it, else the reference.
    """
    cells = {name: flat(config) for name, config in study.cells.items()}
    base = _of_rule(cells.get(study.reference, {}))
    by_fields = {json.dumps(fields, sort_keys=True): name for name, fields in reversed(cells.items())}
    found = {}
    for name, fields in cells.items():
        counterpart = json.dumps({**_around(fields), **base}, sort_keys=True)
        found[name] = by_fields.get(counterpart, study.reference)
    return {name: against for name, against in found.items() if not pinned(cells[name])}


def flat(config: Mapping[str, Any]) -> Fields:
    """A config's values by dotted path, without the run's seed."""
    return {name: value for name, value in flatten(config).items() if name != "seed" and value != {}}


def pinned(fields: Fields) -> list[str]:
    """The purposes whose seed the cell pins."""
    return [name for name, value in fields.items() if name.startswith("seeds.") and value is not None]


def spoken(value: Any) -> str:
    """A setting's value as people write it."""
    if isinstance(value, list):
        return ", ".join(map(spoken, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def differing(one: Fields, other: Fields) -> list[str]:
    """The fields that differ between two cells, or that only one of them has."""
    return [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]


def _of_rules(groups: Groups, cells: Mapping[str, Fields], reference: str) -> Iterator[Contrast]:
    rule, _ = _place(cells[reference])
    paired = {name for name, surrounding in groups if (rule, surrounding) in groups}
    for (name, surrounding), members in groups.items():
        if name != rule and (rule, surrounding) in groups:
            yield Contrast(members[0], groups[rule, surrounding][0], RULE, name)
        elif name not in paired:
            paired.add(name)
            yield Contrast(members[0], reference, OWN, name)


def _of_settings(groups: Groups, cells: Mapping[str, Fields], reference: str) -> Iterator[Contrast]:
    _, home = _place(cells[reference])
    for (name, _), members in groups.items():
        base = _at_home(groups, name, home)
        if members[0] != base:
            yield _contrast(cells, members[0], base)
        for other in members[1:]:
            yield _contrast(cells, other, members[0])


def _grouped(cells: Mapping[str, Fields], reference: str) -> Groups:
    groups: Groups = {}
    for name, fields in cells.items():
        groups.setdefault(_place(fields), []).append(name)
    return {place: _plain_first(cells, members, reference) for place, members in groups.items()}


def _plain_first(cells: Mapping[str, Fields], members: list[str], reference: str) -> list[str]:
    def strangeness(name: str) -> tuple[bool, int]:
        return name != reference, sum(len(differing(cells[name], cells[other])) for other in members)

    plain = min(members, key=strangeness)
    return [plain, *(name for name in members if name != plain)]


def _at_home(groups: Groups, rule: str, home: str) -> str:
    """The plain cell of ``rule`` in the reference's surrounding; where it has none, the rule's first."""
    first = next(members[0] for (name, _), members in groups.items() if name == rule)
    return groups.get((rule, home), [first])[0]


def _place(fields: Fields) -> tuple[str, str]:
    return fields["rule.name"], json.dumps(_around(fields), sort_keys=True)


def _around(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if not name.startswith("rule.")}


def _of_rule(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name.startswith("rule.")}


def _contrast(cells: Mapping[str, Fields], cell: str, against: str) -> Contrast:
    names = differing(cells[cell], cells[against])
    if len(names) > MANY:
        return Contrast(cell, against, f"{len(names)} settings, against {against}", "")
    return Contrast(cell, against, ", ".join(names), _changed(cells[against], cells[cell], names))


def _changed(before: Fields, after: Fields, names: Iterable[str]) -> str:
    return ", ".join(f"{spoken(before.get(name))} → {spoken(after.get(name))}" for name in names)
