"""What to do next in a study, as a pure function of what is known. Nothing in here runs, reads or writes anything."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nowt.execution.driver import Decision
from nowt.store.records import OVER, State


@dataclass(frozen=True)
class RunStatus:
    """What the log knows of one run."""

    state: State = "missing"
    last_epoch: int = -1


def unfinished(plan: Sequence[str], facts: Mapping[str, RunStatus]) -> list[str]:
    """The runs without a result, those that a crash left half-way first, else in the plan's order."""
    open_ = [key for key in plan if facts.get(key, RunStatus()).state not in OVER]
    begun = [key for key in open_ if facts.get(key, RunStatus()).last_epoch >= 0]
    return begun + [key for key in open_ if key not in set(begun)]


def decide(
    plan: Sequence[str], facts: Mapping[str, RunStatus], live: Collection[str], tried: Collection[str]
) -> Decision:
    """What to do with a free slot.

    ``live`` are the runs under way, ``tried`` those started since this start of the study: a run that failed is not
    started twice, so that one broken run cannot keep the others waiting.
    """
    ready = [key for key in unfinished(plan, facts) if key not in live and key not in tried]
    if ready:
        return Decision("start", ready[0])
    return Decision("wait") if live else Decision("done")
