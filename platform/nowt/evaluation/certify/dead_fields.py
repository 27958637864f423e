"""Every field of the rule matters: changing it changes what the rule does, alone or beside one other changed field."""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from nowt.evaluation.certify.certificate import Check, Findings, LeftOut
from nowt.evaluation.certify.testbed import Testbed, changed, copies
from nowt.rules.base import Rule


def check_fields(rule: Rule) -> Findings:
    """One row, which names the fields that nothing reads."""
    if not fields(rule):
        yield LeftOut("fields", "the rule has no fields")
        return
    kinds, outcomes, cases = get_type_hints(type(rule)), Outcomes(), _cases(rule)
    dead, untried = [], []
    for item in fields(rule):
        value, kind = getattr(rule, item.name), kinds[item.name]
        choices = [c for c in others(kind, value) if _valid(rule, {item.name: c}) is not None]
        if not choices:
            untried.append(f"{item.name} was not tried, for want of another value")
        elif get_origin(kind) is Literal:
            same = [c for c in choices if not outcomes.matter(cases, item.name, [c])]
            dead += [f"{item.name} ({c!r} is as {value!r})" for c in same]
        elif not outcomes.matter(cases, item.name, choices):
            dead.append(f"{item.name} (nothing reads it)")
    measured = f"without effect: {', '.join(dead)}" if dead else f"{len(fields(rule)) - len(untried)} matter"
    promise = "Every field of the rule changes what the rule does"
    yield Check("fields", promise, "0 without effect", measured, not dead, "; ".join(untried))


def others(kind: Any, value: Any) -> list[Any]:
    """Other values of a field's type: all of a Literal, some of a number, none where the type says too little."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        found = list(inner)
    elif origin in (Union, UnionType):
        found = [None] + [v for k in inner if k is not NoneType for v in others(k, value if value is not None else 1)]
    elif origin is tuple:
        found = [(), *((v,) for v in others(inner[0], 1)), *((1, v) for v in others(inner[0], 1))]
    elif kind is bool:
        found = [not value]
    elif kind is int:
        found = [value + 1, 2 * value, value - 1, value // 2, 1, 0, value + 2]
    elif kind is float:
        found = [2 * value, value / 2, value + 0.5, 0.5, 1.0]
    else:
        found = []
    return [v for i, v in enumerate(found) if v != value and v not in found[:i]]


@dataclass
class Outcomes:
    """What rules do, each computed once."""

    known: dict[str, dict[str, Tensor] | None] = field(default_factory=dict)

    def matter(self, cases: list[Rule], name: str, choices: list[Any]) -> bool:
        """Whether, in some case, one of ``choices`` for the field ``name`` changes what the rule does."""
        tries = ((case, {name: choice}) for case in chain(cases, _pairs(cases[0], name)) for choice in choices)
        return any(self._differ(case, _valid(case, values)) for case, values in tries)

    def _differ(self, case: Rule, other: Rule | None) -> bool:
        if other is None:
            return False
        done, done_otherwise = self.of(case), self.of(other)
        return done is not None and done_otherwise is not None and bool(changed(done, done_otherwise))

    def of(self, rule: Rule) -> dict[str, Tensor] | None:
        """All that a short training leaves: W and the rest of the network, and what the rule keeps; None where the
        rule refuses the network."""
        if repr(rule) not in self.known:
            self.known[repr(rule)] = _train(rule)
        return self.known[repr(rule)]


def _train(rule: Rule) -> dict[str, Tensor] | None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bench = Testbed.build(rule)
        try:
            bench.begin()
        except ValueError:
            return None
        for number in (1, 2):
            bench.step(number)
    return copies(bench.own()) | copies(bench.kept())


def _cases(rule: Rule) -> list[Rule]:
    """The rule as it is, and with its defaults."""
    defaults = {item.name: item.default for item in fields(rule) if item.default is not MISSING}
    plain = _valid(rule, defaults)
    return [rule] if plain is None or plain == rule else [rule, plain]


def _pairs(rule: Rule, name: str) -> Iterator[Rule]:
    """The rule with one field other than ``name`` changed: a field may matter only beside another."""
    kinds = get_type_hints(type(rule))
    for item in fields(rule):
        for choice in others(kinds[item.name], getattr(rule, item.name)) if item.name != name else ():
            if (case := _valid(rule, {item.name: choice})) is not None:
                yield case


def _valid(rule: Rule, values: dict[str, Any]) -> Rule | None:
    """The rule with other values; None where it refuses them."""
    try:
        return replace(rule, **values)
    except ValueError:
        return None
