"""What a search spends and finds: it trains one simulated trial after another until its budget of epochs is spent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nowt.studies.search.params import Value
from searches.surrogate import Surrogate


class BudgetSpent(Exception):
    """No epoch is left to train."""


@dataclass
class Meter:
    """Trains trials on a surrogate, and counts their epochs.

    Attributes:
        surrogate: The surrogate of a cell.
        training: The number of training images.
        budget: The number of epochs that may be trained.
        spent: Those that were trained.
        found: The error of each complete trial, with what was spent when it ended.
    """

    surrogate: Surrogate
    training: int
    budget: int
    spent: int = 0
    found: list[tuple[int, float]] = field(default_factory=list)

    def train(self, values: Mapping[str, Value]) -> Iterator[tuple[int, float]]:
        """Yield each epoch of a trial, from 1, and its error. Raises BudgetSpent once the budget is spent."""
        for epoch, error in enumerate(self.surrogate.curve(values), 1):
            if self.spent >= self.budget:
                raise BudgetSpent
            self.spent += 1
            if epoch == self.surrogate.epochs:
                self.found.append((self.spent, error))
            yield epoch, error

    def regret(self, share: float) -> float:
        """Return the difference between the best complete trial and the best possible one, once ``share`` of the
        budget is spent. Without a complete trial, the worst possible one counts."""
        errors = (error for spent, error in self.found if spent <= share * self.budget)
        return min(errors, default=self.surrogate.worst) - self.surrogate.best
