"""When a trial of a search is stopped early: a pure function of the values that its cell's trials had so far."""

import math
import statistics
from collections.abc import Sequence

from nowt.config.run_config import RunConfig
from nowt.studies.search.space import EarlyStopping

ALIGNED = 0.2  # share of kp's |W − B| at which feedback counts as aligned


def rungs(stopping: EarlyStopping, first: int, epochs: int) -> tuple[int, ...]:
    """The epochs at which trials of ``epochs`` epochs are compared, ``first`` the earliest; never the last epoch.

    Halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning"): first, first · factor, ...;
    median: every epoch from the first on.
    """
    if stopping.kind == "none":
        return ()
    if stopping.kind == "median":
        return tuple(range(first, epochs))
    count = max(0, math.ceil(math.log(epochs / first, stopping.factor)))
    return tuple(r for r in (first * stopping.factor**k for k in range(count)) if r < epochs)


def stops(stopping: EarlyStopping, value: float, others: Sequence[float]) -> bool:
    """Whether a trial whose error at a rung is ``value`` stops there, ``others`` being those of its cell's other trials
    that came to the rung.

    Halving lets through those among the best one of ``factor``, so the first to come always goes on; median those not
    worse than the others' median.
    """
    if not others:
        return False
    if stopping.kind == "median":
        return value > statistics.median(others)
    better = sum(other < value for other in others)
    return better >= max(1, (len(others) + 1) // stopping.factor)


def first_rung(stopping: EarlyStopping, config: RunConfig, steps_per_epoch: int) -> int:
    """The epoch of the first rung: the given one, else the first by which kp's |W − B| would be down to a fifth under
    the schedule of ``config`` (science: Σηλ/(1−μ)), so that no rule is judged before its feedback can align; the last
    epoch where it never gets there, which means that no trial is stopped."""
    from nowt.training.schedule import remaining_difference

    if stopping.first_rung is not None:
        return stopping.first_rung
    left = remaining_difference(config, steps_per_epoch)
    return next((epoch for epoch, share in enumerate(left) if epoch and share <= ALIGNED), config.epochs)
