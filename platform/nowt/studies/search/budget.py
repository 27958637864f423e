"""The budget of a search: what each cell has spent, and the expected cost of its running trials."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nowt.studies.search.space import Budget
from nowt.studies.search.trial_storage import Trial


@dataclass
class BudgetTracker:
    """Adds the cost of every trial to its cell's budget, once."""

    budget: Budget
    spent: dict[str, float]  # by cell
    min_costs: dict[str, float]  # by cell: the lowest possible cost of a complete trial, 0 if unknown
    ended: dict[str, int] = field(default_factory=dict)  # number of ended trials, by cell
    paid: dict[str, float] = field(default_factory=dict)  # cost of the ended trials, by cell

    def count(self, trial: Trial, cost: dict[str, float]) -> None:
        """Add the trial's cost since the last call to its cell's budget. Epochs that a resumed run reports again are
        not charged twice."""
        unit = self.budget.unit
        before = trial.cost.get(unit, 0.0) if trial.counted else 0.0
        added = not trial.counted if unit == "trials" else max(0.0, cost.get(unit, 0.0) - before)
        self.spent[trial.cell.name] += added
        if cost.get("presentations", 0.0) >= trial.cost.get("presentations", 0.0):
            trial.cost = cost
        trial.counted = True

    def close(self, trial: Trial) -> None:
        """Record that the trial has ended and causes no further cost."""
        name = trial.cell.name
        self.ended[name] = self.ended.get(name, 0) + 1
        self.paid[name] = self.paid.get(name, 0.0) + trial.cost.get(self.budget.unit, 0.0)

    @property
    def spent_share(self) -> float:
        """Share of the total budget that is spent."""
        amount, spent = self.budget.amount, self.spent.values()
        return sum(min(each, amount) for each in spent) / (amount * len(spent))

    def next_cell(self, running: Iterable[Trial]) -> str | None:
        """Return the name of the cell that gets the next trial, None if no cell has budget for one."""
        expected, count = dict(self.spent), Counter[str]()
        for trial in running:
            name = trial.cell.name
            count[name] += 1
            if self.budget.unit != "trials":
                expected[name] += max(0.0, self._expected_cost(trial) - trial.cost.get(self.budget.unit, 0.0))
        return next_cell(expected, count, self.budget.amount)

    def _expected_cost(self, trial: Trial) -> float:
        """Return the expected total cost of a trial: the mean of the ended ones, otherwise its cost per epoch so far
        times its epochs."""
        name = trial.cell.name
        if name in self.ended:
            return self.paid[name] / self.ended[name]
        per_epoch = trial.cost.get(self.budget.unit, 0.0) / max(trial.last_epoch, 1)
        return max(self.min_costs[name], per_epoch * trial.cell.config.epochs)


def next_cell(spent: Mapping[str, float], running: Mapping[str, int], budget: float) -> str | None:
    """Return the cell that has spent least; None if every cell has spent its budget. Among equals it is the one with
    the fewest running trials, so that an interrupted search has treated all cells equally.

    ``spent`` includes the expected cost of running trials.
    """
    open_cells = [name for name in spent if spent[name] < budget]
    return min(open_cells, key=lambda name: (spent[name], running[name])) if open_cells else None
