"""The record of an audited training step: how much its numbers changed with W."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nowt.core.formatting import counted

SHARES = (0.01, 0.1)  # of steps in which a rule cheats, for which a report gives the chance that no audit finds it


@dataclass(frozen=True)
class Audit:
    """What was found when a step was done twice, the second time with a changed W.

    Attributes:
        step: Number of the training step, from 1; 0 stands for the preparation and the work before learning.
        problem: What shows that the rule has read W, in a few words; empty if nothing does.
        examined: Whether the step could be examined. It could not if the loss changes with W, because W is used outside
            of its layers, or if the step is irregular.
        change: Change of the tensor ``where``, relative to its size; 0 if all bits of B, the rule's other state,
            buffers and gradients are the same.
        where: The first tensor that changes.
        hidden: Number of layers whose W was replaced in memory.
        mirror: Whether the step is a mirror step.
        law: Largest relative deviation of W − B from the declared law; None without one.
        cosines: cos(B, W) of each layer as B was drawn; of step 0 only.
        irregular: Whether the step gives other numbers each time that it is done, with the same W: of ``where``, for
            example.
        declares: The signal of W, ``sign`` or ``weight``, that the rule declares, for which nothing is audited.
    """

    step: int
    problem: str = ""
    examined: bool = True
    change: float = 0.0
    where: str = ""
    hidden: int = 0
    mirror: bool = False
    law: float | None = None
    cosines: dict[str, float] = field(default_factory=dict)
    irregular: bool = False
    declares: str = ""


def audit_to_json(audit: Audit) -> dict[str, Any]:
    """Return the audit as plain JSON data, without what is unset."""
    return {name: value for name, value in asdict(audit).items() if value not in ("", None, {}) or name == "step"}


def audit_from_json(data: dict[str, Any]) -> Audit:
    """Return the audit that ``audit_to_json`` wrote. Fields of later versions are left out."""
    known = {item.name for item in fields(Audit)}
    return Audit(**{name: value for name, value in data.items() if name in known})


def chance_to_miss(share: float, steps: int) -> float:
    """Return the chance that none of ``steps`` audited steps is one of those in which a rule cheats."""
    return (1 - share) ** steps


def chances_in_words(steps: int) -> str:
    """Return the chances that ``steps`` audited steps miss a rule, as the end of "a rule is missed that reads W in"."""
    chances = (f"{100 * share:g} % of steps with probability {chance_to_miss(share, steps):.2g}" for share in SHARES)
    return ", or in ".join(chances)


def audits_in_words(audits: Sequence[Audit]) -> str:
    """Return what was audited and with which result; empty without audits."""
    if not audits:
        return ""
    if declared := next((audit.declares for audit in audits if audit.declares), ""):
        return f"not audited, since the rule declares the signal {declared}"
    steps = [audit for audit in audits if audit.step > 0]
    done = [audit for audit in steps if audit.examined]
    parts = ["work before learning"] if len(steps) < len(audits) else []
    parts += [counted(len(done), "step")] if steps else []
    parts += [f"{len(steps) - len(done)} more could not be examined{_reason(steps)}"] if len(done) < len(steps) else []
    problems = [audit for audit in audits if audit.problem]
    clean = "no read of W found" if done or not steps else "nothing is known of what the rule reads"
    return ", ".join(parts) + f": {problems[0].problem if problems else clean}"


def _reason(steps: Sequence[Audit]) -> str:
    irregular = [audit for audit in steps if audit.irregular]
    if not irregular:
        return ""
    return f" ({len(irregular)} because they give other numbers each time, such as in {irregular[0].where})"
