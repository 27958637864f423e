"""Progress of a search: one line for each trial that ends."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from nowt.core.errors import Echo
from nowt.core.formatting import counted
from nowt.execution.scheduler import PlannedRun
from nowt.store.records import TRANSPORT_DETECTED, RunLog
from nowt.studies.search.space import SearchSpace


@dataclass
class SearchProgress:
    """Prints one line for each trial that ends."""

    space: SearchSpace
    echo: Echo
    spent_share: Callable[[], float]  # of the total budget that is spent
    earlier: Callable[[], int]  # trials that ended at earlier starts
    ended: int = 0
    began: float | None = None  # None until ``begin``
    began_ms: int = 0  # in milliseconds since 1970
    before: float = 0.0  # share that was not spent since ``begin``
    seen: float = 0.0  # share that was spent at the last update
    printed: set[str] = field(default_factory=set)  # keys of runs that have a line
    display: AbstractContextManager[Any] = nullcontext()  # noqa: RUF009 (it has no state)

    def begin(self) -> None:
        """Mark the end of the replay; later updates are new and are printed."""
        self.ended, self.began, self.began_ms = self.earlier(), time.monotonic(), time.time_ns() // 1_000_000
        self.before = self.seen = self.spent_share()
        if self.ended:
            self.echo(f"{counted(self.ended, 'trial')} from earlier starts")

    def update(self, planned: PlannedRun, run: RunLog) -> None:
        """Print a line if the run has ended. Its log may have said so before the search began: in a copy of a store, or
        if another study has trained it."""
        share = self.spent_share()
        known = self.began is not None and bool(run.times) and run.times[-1] < self.began_ms
        self.before += share - self.seen if known else 0.0
        self.seen = share
        if run.state == "running" or self.began is None or run.key in self.printed:
            return
        self.printed.add(run.key)
        self.ended += 1
        why = f" ({run.reason.strip().splitlines()[-1]})" if run.state == "failed" and run.reason.strip() else ""
        head = f"{self._count()} {planned.cell} {self._ending(run)}{', not trained again' if known else ''}"
        self.echo(f"{head}{why} (run {run.key}){self._left()}")

    def _ending(self, run: RunLog) -> str:
        """Return how the run ended, and its last error unless that is of the untrained network."""
        if run.state == TRANSPORT_DETECTED and run.reason:
            return run.reason  # it names state, step and layer
        after = f"{run.state} after {counted(max(run.last_epoch, 0), 'epoch')}"
        return f"{after}: val error {100 * run.epochs[-1].val_error:.2f} %" if run.last_epoch >= 1 else after

    def _count(self) -> str:
        budget = self.space.budget
        if budget.unit == "trials":
            return f"[{self.ended}/{budget.amount * len(self.space.cells):g}]"
        return f"[{self.ended}, {100 * self.spent_share():.0f} % of the {budget.unit}]"

    def _left(self) -> str:
        share = self.spent_share()
        done = share - self.before
        if self.began is None or done <= 0 or share >= 1:
            return ""
        minutes = (time.monotonic() - self.began) / done * (1 - share) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
