"""Decides what a study does next, as a pure function of the status of its runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from nowt.execution.driver import Decision
from nowt.store.records import OVER, State


@dataclass(frozen=True)
class RunStatus:
    """The state and the last epoch of a run, from its log."""

    state: State = "missing"
    last_epoch: int = -1


def unfinished(plan: Sequence[str], statuses: Mapping[str, RunStatus]) -> list[str]:
    """Return the planned runs without a result: first those that have begun, then the others, each in the order of the
    plan."""
    open_ = [key for key in plan if statuses.get(key, RunStatus()).state not in OVER]
    begun = [key for key in open_ if statuses.get(key, RunStatus()).last_epoch >= 0]
    return begun + [key for key in open_ if key not in set(begun)]


def decide(
    plan: Sequence[str], statuses: Mapping[str, RunStatus], running: Collection[str], attempted: Collection[str]
) -> Decision:
    """Return what to do with a free slot.

    ``attempted`` are the runs that this start of the study has already begun. None is begun twice, so that a run that
    always fails cannot delay the others.
    """
    ready = [key for key in unfinished(plan, statuses) if key not in running and key not in attempted]
    if ready:
        return Decision("start", ready[0])
    return Decision("wait") if running else Decision("done")
