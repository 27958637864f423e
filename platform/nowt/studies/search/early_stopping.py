"""Early stopping: the rungs of a search, and whether a trial stops at one."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nowt.config.run_config import RunConfig
from nowt.studies.search.space import EarlyStopping
from nowt.training.schedule import remaining_difference

ALIGNED = 0.2  # share of kp's initial |W − B| at which feedback counts as aligned


def rungs(stopping: EarlyStopping, first: int, epochs: int) -> tuple[int, ...]:
    """Return the epochs at which trials of ``epochs`` epochs are compared; ``first`` is the earliest. The last epoch is
    never among them.

    Halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning"): first, first · factor, ...
    Median: every epoch from the first on.
    """
    if stopping.kind == "none":
        return ()
    if stopping.kind == "median":
        return tuple(range(first, epochs))
    count = max(0, math.ceil(math.log(epochs / first, stopping.factor)))
    return tuple(r for r in (first * stopping.factor**k for k in range(count)) if r < epochs)


def should_stop(stopping: EarlyStopping, value: float, others: Sequence[float]) -> bool:
    """Return whether a trial with error ``value`` at a rung stops there. ``others`` are the errors of the cell's other
    trials at this rung.

    With halving, a trial continues if it is among the best 1/``factor``, so the first one at a rung always does. With
    median, it continues if it is not worse than the median of the others.
    """
    if not others:
        return False
    if stopping.kind == "median":
        return value > statistics.median(others)
    better = sum(other < value for other in others)
    return better >= max(1, (len(others) + 1) // stopping.factor)


def first_rung(stopping: EarlyStopping, config: RunConfig, steps_per_epoch: int) -> int:
    """Return the epoch of the first rung.

    Unless it is given, it is the first epoch by which kp's |W − B| falls to a fifth under the schedule of ``config``
    (a factor of exp(-Σηλ/(1−μ))), so that no rule is judged before its feedback can align. If that never happens, it
    is the last epoch, and no trial is stopped.
    """
    if stopping.first_rung is not None:
        return stopping.first_rung
    shares = remaining_difference(config, steps_per_epoch)
    return next((epoch for epoch, share in enumerate(shares) if epoch and share <= ALIGNED), config.epochs)


@dataclass
class RungErrors:
    """The errors of a search's trials at the rungs of their cells."""

    rungs: Mapping[str, tuple[int, ...]]  # epochs, by cell
    errors: dict[tuple[str, int], dict[int, float]] = field(default_factory=dict)  # by trial, by (cell, epoch)

    def record(self, cell: str, trial: int, epoch: int, error: float) -> dict[int, float] | None:
        """Record a trial's error. Return the errors of all trials of the cell at this rung, None if the epoch is not a
        rung."""
        if epoch not in self.rungs[cell]:
            return None
        at = self.errors.setdefault((cell, epoch), {})
        at[trial] = error
        return at

    def forget(self, cell: str, trial: int) -> None:
        """Drop the errors of a failed trial, whose draw a later trial retries."""
        for (name, _), at in self.errors.items():
            if name == cell:
                at.pop(trial, None)
