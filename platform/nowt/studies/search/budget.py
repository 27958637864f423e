"""What the cells of a search have spent of their budgets, and what their trials under way will."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nowt.studies.search.space import Budget
from nowt.studies.search.trials import Trial


@dataclass
class Spending:
    """Counts every trial into its cell's budget, once."""

    budget: Budget
    spent: dict[str, float]  # by cell
    whole: dict[str, float]  # by cell: what a whole trial costs at the least, as far as that is known beforehand
    ended: dict[str, int] = field(default_factory=dict)  # trials, by cell
    paid: dict[str, float] = field(default_factory=dict)  # what these cost

    def count(self, trial: Trial, cost: dict[str, float]) -> None:
        """Count the trial: once, or by what it cost beyond what was counted before. Epochs that a resumed run tells
        again cost nothing."""
        unit = self.budget.unit
        before = trial.cost.get(unit, 0.0) if trial.counted else 0.0
        more = not trial.counted if unit == "trials" else max(0.0, cost.get(unit, 0.0) - before)
        self.spent[trial.cell.name] += more
        if cost.get("presentations", 0.0) >= trial.cost.get("presentations", 0.0):
            trial.cost = cost
        trial.counted = True

    def close(self, trial: Trial) -> None:
        """The trial has its end: it will cost no more."""
        name = trial.cell.name
        self.ended[name] = self.ended.get(name, 0) + 1
        self.paid[name] = self.paid.get(name, 0.0) + trial.cost.get(self.budget.unit, 0.0)

    def next_cell(self, under_way: Iterable[Trial]) -> str | None:
        """The name of the cell that gets the next trial, None where no cell has room for one."""
        expected, running = dict(self.spent), Counter[str]()
        for trial in under_way:
            name = trial.cell.name
            running[name] += 1
            if self.budget.unit != "trials":
                expected[name] += max(0.0, self._expected(trial) - trial.cost.get(self.budget.unit, 0.0))
        return next_cell(expected, running, self.budget.amount)

    def _expected(self, trial: Trial) -> float:
        """What a trial will have cost at its end: as those before it did; while there are none, as much for each epoch
        as until now, and before the first epoch what is known beforehand."""
        name = trial.cell.name
        if name in self.ended:
            return self.paid[name] / self.ended[name]
        pace = trial.cost.get(self.budget.unit, 0.0) / max(trial.last_epoch, 1)
        return max(self.whole[name], pace * trial.cell.config.epochs)


def next_cell(spent: Mapping[str, float], under_way: Mapping[str, int], budget: float) -> str | None:
    """The cell of a search that gets the next trial: the one that has spent least, of several the one with the fewest
    trials under way, so that a search stopped early has treated all alike; None where every cell has spent its budget.

    ``spent`` counts what the trials under way are expected to cost.
    """
    room = [name for name in spent if spent[name] < budget]
    return min(room, key=lambda name: (spent[name], under_way[name])) if room else None
