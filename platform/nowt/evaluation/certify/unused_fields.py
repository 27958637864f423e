"""Every field of a rule has an effect: changing it changes the training, alone or together with one other field."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from nowt.evaluation.certify.certificate import Check, CheckResults, SkippedCheck
from nowt.evaluation.certify.testbed import Testbed, changed, clones
from nowt.rules.base import Rule
from nowt.rules.feedback import FeedbackRule

COVERAGE = ("last_layer", "shortcuts")  # fields that covers() of ``FeedbackRule`` reads

STEPS = 2  # of the training that two settings are compared on

MANY_STEPS = 24  # of that of a field without effect on the first ones, as a period may have none


def check_fields(rule: Rule) -> CheckResults:
    """Yield one check, which names the fields without effect."""
    if not fields(rule):
        yield SkippedCheck("fields", "the rule has no fields")
        return
    outcomes, bases = TrainingOutcomes(), _base_settings(rule)
    unused, untested = [], []
    for item in fields(rule):
        choices = _choices(bases, item)
        if item.name in COVERAGE and _has_own_coverage(rule):
            untested.append(f"{item.name} was not tested, because the rule has its own covers()")
        elif not choices:
            untested.append(f"{item.name} was not tested, because no other value is known")
        elif found := _without_effect(outcomes, bases, item, choices):
            if outcomes.can_train(bases, item.name, choices):
                unused += found
            else:
                untested.append(f"{item.name} was not tested, because training fails with each other value")
    measured = f"without effect: {', '.join(unused)}" if unused else f"{len(fields(rule)) - len(untested)} have one"
    promise = "Every field of the rule has an effect on training"
    yield Check("fields", promise, "0 without effect", measured, not unused, "; ".join(untested))


def _has_own_coverage(rule: Rule) -> bool:
    return isinstance(rule, FeedbackRule) and type(rule).covers is not FeedbackRule.covers


def other_values(kind: Any, value: Any) -> list[Any]:
    """Return other values of a field's type: all of a Literal, some numbers, none for a type such as ``str``."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        found = list(inner)
    elif origin in (Union, UnionType):
        # a value that is not set may be any number; a rule that is told to reach a large angle is done sooner
        set_values = (value,) if value is not None else (16, 1)
        found = [None] + [v for one in set_values for k in inner if k is not NoneType for v in other_values(k, one)]
    elif origin is tuple:
        items = other_values(inner[0], 1)
        found = [(), *((v,) for v in items), *((1, v) for v in items)]
    elif kind is bool:
        found = [not value]
    elif kind is int:
        found = [value + 1, 2 * value, value - 1, value // 2, 1, 0, value + 2]
    elif kind is float:
        found = [2 * value, value / 2, value + 0.5, 0.5, 1.0, 1e-6]  # the last one for bounds of small numbers
    else:
        found = []
    return [v for i, v in enumerate(found) if v != value and v not in found[:i]]


@dataclass
class TrainingOutcomes:
    """The results of short trainings under different settings of a rule, each computed once."""

    known: dict[tuple[str, int], dict[str, Tensor] | None] = field(default_factory=dict)

    def any_effect(self, bases: list[Rule], name: str, choices: list[Any]) -> bool:
        """Return whether one of ``choices`` for field ``name`` changes the training, in any base or beside another
        field."""
        # the first base with every other field before the next base, whose mirror steps before learning take longer
        settings = chain.from_iterable(chain([base], _with_one_field_changed(base, name)) for base in bases)
        tries = chain(
            ((base, choice, STEPS) for base in settings for choice in choices),
            ((base, choice, MANY_STEPS) for base in bases for choice in choices),
        )
        return any(self._differ(base, _with(base, {name: choice}), steps) for base, choice, steps in tries)

    def can_train(self, bases: list[Rule], name: str, choices: list[Any]) -> bool:
        """Return whether training works with one of ``choices`` for field ``name``."""
        others = (_with(base, {name: choice}) for base in bases for choice in choices)
        return any(other is not None and self._of(other, STEPS) is not None for other in others)

    def _differ(self, rule: Rule, other: Rule | None, steps: int) -> bool:
        if other is None:
            return False
        first, second = self._of(rule, steps), self._of(other, steps)
        return first is not None and second is not None and bool(changed(first, second))

    def _of(self, rule: Rule, steps: int) -> dict[str, Tensor] | None:
        key = repr(rule), steps
        if key not in self.known:
            self.known[key] = _train(rule, steps)
        return self.known[key]


def _train(rule: Rule, steps: int) -> dict[str, Tensor] | None:
    """Return all state of network, optimizer and rule after a training of ``steps`` steps.

    Return None if the rule refuses the network, or fails with these settings, as with a period of 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            testbed = Testbed.build(rule)
            testbed.begin()
            for number in range(1, steps + 1):
                testbed.step(number)
        except Exception:  # with its own settings, the rule has trained in the checks before
            return None
    return clones(testbed.network_state()) | clones(testbed.rule_state())


def _without_effect(outcomes: TrainingOutcomes, bases: list[Rule], item: Field[Any], choices: list[Any]) -> list[str]:
    """Describe the field, or those of its Literal values, that change nothing."""
    if get_origin(_kind(bases[0], item)) is Literal:
        same = [choice for choice in choices if not outcomes.any_effect(bases, item.name, [choice])]
        return [f"{item.name} ({choice!r} equals {getattr(bases[0], item.name)!r})" for choice in same]
    return [] if outcomes.any_effect(bases, item.name, choices) else [f"{item.name} (never read)"]


def _valid_choices(rule: Rule, item: Field[Any]) -> list[Any]:
    choices = other_values(_kind(rule, item), getattr(rule, item.name))
    return [choice for choice in choices if _with(rule, {item.name: choice}) is not None]


def _choices(bases: list[Rule], item: Field[Any]) -> list[Any]:
    """Return other values of a field that the first of ``bases`` accepts; if there are none, those that one of them
    accepts beside another value of one other field."""
    if valid := _valid_choices(bases[0], item):
        return valid
    found = other_values(_kind(bases[0], item), getattr(bases[0], item.name))
    others = [other for base in bases for other in _with_one_field_changed(base, item.name)]
    return [value for value in found if any(_with(other, {item.name: value}) is not None for other in others)]


def _kind(rule: Rule, item: Field[Any]) -> Any:
    return get_type_hints(type(rule))[item.name]


def _base_settings(rule: Rule) -> list[Rule]:
    """Return the rule with few mirror steps before learning, as it is, and with its defaults, each if it differs.

    The first makes most comparisons fast: an effect beside another number of mirror steps is an effect.
    """
    defaults = _with(rule, {item.name: item.default for item in fields(rule) if item.default is not MISSING})
    full = [rule, defaults]
    warmed_up = isinstance(getattr(defaults, "warmup", None), int)
    fewer = [_with(base, {"warmup": 2}) for base in full if base is not None and warmed_up]
    short = [base for base in fewer if base is not None]  # target_angle refuses it
    bases = [*short[:1], rule, *short[1:], defaults]
    return [base for i, base in enumerate(bases) if base is not None and base not in bases[:i]]


def _with_one_field_changed(rule: Rule, name: str) -> Iterator[Rule]:
    """Yield the rule with one field other than ``name`` changed, because a field may only matter beside another.

    Fields that choose one of a few ways come first, since these most often decide which other fields matter.
    """
    for item in sorted(fields(rule), key=lambda item: get_origin(_kind(rule, item)) is not Literal):
        for choice in _valid_choices(rule, item) if item.name != name else ():
            yield replace(rule, **{item.name: choice})


def _with(rule: Rule, values: dict[str, Any]) -> Rule | None:
    """Return the rule with other values; None if it refuses them."""
    try:
        return replace(rule, **values)
    except ValueError:
        return None
