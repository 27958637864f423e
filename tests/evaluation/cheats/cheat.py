"""A rule that cheats, and what must find it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nowt.evaluation.certify.certificate import Check, CheckResults
from nowt.rules.base import Rule

RunCheck = Callable[[Rule], CheckResults]


@dataclass(frozen=True)
class Cheat:
    """A rule and the check that is meant to find it: one that ``run`` yields, by its name."""

    rule: Rule
    run: RunCheck
    check: str

    def __str__(self) -> str:
        return f"{type(self.rule).__name__}, {self.check}"


def failed(run: RunCheck, rule: Rule) -> set[str]:
    """Return the names of the checks that the rule fails. The global random state stays the same."""
    with torch.random.fork_rng(devices=[]):
        return {result.name for result in run(rule) if isinstance(result, Check) and not result.passed}
