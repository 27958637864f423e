"""How a search goes and how it ended, in words."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nowt.execution.driver import PlannedRun
from nowt.store.records import RunLog
from nowt.studies.search.space import SearchSpace


@dataclass(frozen=True)
class Outcome:
    """How a search ended, or where it was interrupted."""

    space: SearchSpace
    states: dict[str, dict[str, int]]  # by cell: trials by state
    best: dict[str, tuple[float, dict[str, Any]]]  # by cell: the lowest error of a whole trial, and its values
    interrupted: bool
    capped: str = ""  # the cap that stopped it and what is left, in words

    def summary(self) -> str:
        """A line a cell, after one on the whole."""
        lines = [f"search {self.space.key}: {self.space.budget.amount:g} {self.space.budget.unit} a cell"]
        for cell, states in self.states.items():
            counts = ", ".join(f"{number} {state}" for state, number in states.items())
            lines.append(f"{cell}: {counts or 'no trial'}{self._best(cell)}")
        lines += [f"stopped at its cap of {self.capped}: with a larger cap it goes on"] if self.capped else []
        return "\n".join(lines)

    def _best(self, cell: str) -> str:
        if cell not in self.best:
            return ""
        error, values = self.best[cell]
        spoken = ", ".join(f"{n} {v:.3g}" if isinstance(v, float) else f"{n} {v}" for n, v in values.items())
        return f"; best val error {100 * error:.2f} % with {spoken}"


def outcome(space: SearchSpace, trials: Sequence[Any], interrupted: bool, capped: str) -> Outcome:
    """The outcome of a search with these trials; one that failed and whose draw was taken up again is not told of."""
    again = {(trial.cell.name, trial.draw) for trial in trials if trial.state.name != "FAIL"}
    states: dict[str, dict[str, int]] = {cell.name: {} for cell in space.cells}
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for trial in trials:
        if trial.state.name == "FAIL" and (trial.cell.name, trial.draw) in again:
            continue
        name, state = trial.cell.name, trial.state.name.lower()
        states[name][state] = states[name].get(state, 0) + 1
        if state == "complete" and (name not in best or trial.errors[trial.last_epoch] < best[name][0]):
            best[name] = (trial.errors[trial.last_epoch], trial.values)
    return Outcome(space, states, best, interrupted, capped)


@dataclass
class SearchProgress:
    """Says a line for each trial that ends."""

    space: SearchSpace
    say: Callable[[str], None]
    share: Callable[[], float] = lambda: 0.0  # of the budget that is spent
    ended: int = 0
    began: float | None = None  # None while earlier trials are recalled
    before: float = 0.0  # share of the budget that earlier starts had spent
    over: set[str] = field(default_factory=set)  # runs that were told as ended

    def begin(self, share: Callable[[], float], ended: int) -> None:
        """What is heard from now on is new; ``ended`` trials were over before. ``share`` tells how much of the budget
        is spent."""
        self.share, self.ended, self.began, self.before = share, ended, time.monotonic(), share()
        if ended:
            self.say(f"{ended} trial{'s' * (ended > 1)} of earlier starts")

    def heard(self, planned: PlannedRun, run: RunLog) -> None:
        """Take in what a run's log says now."""
        if run.state == "running" or self.began is None or run.key in self.over:
            return
        self.over.add(run.key)
        self.ended += 1
        error = f"val error {100 * run.epochs[-1].val_error:.2f} %" if run.epochs else "no epoch"
        why = f" ({run.reason.strip().splitlines()[-1]})" if run.state == "failed" and run.reason.strip() else ""
        head = f"{self._count()} {planned.cell} {run.state} after {max(run.last_epoch, 0)} epochs"
        self.say(f"{head}: {error}{why} (run {run.key}){self._left()}")

    def _count(self) -> str:
        budget = self.space.budget
        if budget.unit == "trials":
            return f"[{self.ended}/{budget.amount * len(self.space.cells):g}]"
        return f"[{self.ended}, {100 * self.share():.0f} % of the {budget.unit}]"

    def _left(self) -> str:
        share = self.share()
        done = share - self.before
        if self.began is None or done <= 0 or share >= 1:
            return ""
        minutes = (time.monotonic() - self.began) / done * (1 - share) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
