"""Which steps of a run are audited: drawn once, from the operating system's randomness, which no rule can foresee."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any

import torch

from nowt.config.run_config import RunConfig
from nowt.core.distributed import Group
from nowt.layers.callers import IsForeign
from nowt.layers.replay import no_code
from nowt.rules.base import Rule
from nowt.rules.registry import builtin_rules
from nowt.store.audits import Audit, audit_from_json, audit_to_json

DEFAULT = 3  # audited steps of a custom rule

TRIES = 1000  # steps that are looked at to find a mirror step, before all of them are

Report = Callable[[Audit], None]

ActsAt = Callable[[int], bool]  # whether a training step, from 1, is a mirror step


def ignore_audit(audit: Audit) -> None:
    """Do nothing."""


@dataclass
class AuditPlan:
    """The steps of a run that are audited, and what was found so far. A checkpoint holds both.

    Attributes:
        steps: Numbers of the audited training steps, from 1, in order.
        found: The audits so far, that of the work before learning first.
        drawn: Whether the run is audited; if not, nothing is drawn.
        report: Called with each audit when it is done, and when a run resumes with it.
        is_rule_code: Whether some code is that of a custom rule. It is found when a process begins with the run, since
            files may be edited later.
    """

    steps: Sequence[int] = ()
    found: list[Audit] = field(default_factory=list)
    drawn: bool = False
    report: Report = ignore_audit
    is_rule_code: IsForeign = no_code

    def is_due(self, step: int) -> bool:
        """Return whether a training step is audited."""
        return step in self.steps

    def add(self, audit: Audit) -> None:
        """Add an audit. One that is done again, because a run resumes from an earlier checkpoint, takes its place."""
        self.found = [*(one for one in self.found if one.step != audit.step), audit]
        self.report(audit)

    def to_json(self) -> dict[str, Any]:
        """Return the plan for a checkpoint."""
        return {"steps": list(self.steps), "found": [audit_to_json(audit) for audit in self.found]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "AuditPlan":
        """Return the plan that ``to_json`` returned."""
        return cls(tuple(data["steps"]), [audit_from_json(one) for one in data["found"]], drawn=True)


def audited_steps(config: RunConfig, asked: int | None) -> int:
    """Return how many steps of a run are to be audited: ``asked``, or by default 3 under a custom rule and 0 under a
    built-in one."""
    return asked if asked is not None else 0 if type(config.rule) in builtin_rules() else DEFAULT


def draw_plan(count: int, first: int, last: int, rule: Rule, acts: ActsAt, group: Group) -> AuditPlan:
    """Draw up to ``count`` of the training steps from ``first`` to ``last``, one of them a mirror step if the rule has
    any there. Worker 0 draws, and all workers receive the same steps."""
    steps = range(first, last + 1)
    drawn = torch.zeros(min(count, len(steps)), dtype=torch.int64)
    if group.rank == 0:
        drawn += torch.tensor(_draw(len(drawn), steps, acts if rule.mirror_noise() is not None else None))
    if group.size > 1 and len(drawn):
        group.sum([drawn])
    return AuditPlan(tuple(sorted(drawn.tolist())), drawn=True)


def _draw(count: int, steps: range, acts: ActsAt | None) -> list[int]:
    chosen = SystemRandom().sample(steps, count)
    if acts is None or count == 0 or any(map(acts, chosen)):
        return chosen
    mirror = _mirror_step(steps, acts)
    return chosen if mirror is None else [mirror, *chosen[1:]]


def _mirror_step(steps: range, acts: ActsAt) -> int | None:
    random = SystemRandom()
    some = next(filter(acts, random.sample(steps, min(TRIES, len(steps)))), None)
    if some is not None or len(steps) <= TRIES:
        return some
    found = list(filter(acts, steps))
    return random.choice(found) if found else None
