"""``nowt search --confirm`` and ``nowt transfer``: the best settings of a search, run again and told."""

from collections.abc import Callable, Sequence
from pathlib import Path

from nowt import ablate
from nowt.config import RunConfig, require
from nowt.overrides import Override
from nowt.rules.rule import Rule
from nowt.search import again, told
from nowt.study import Study

Run = Callable[[Study], ablate.Outcome]


class NotWhole(Exception):
    """A study that the rest stands on is interrupted, capped, or has runs that failed; ``outcome`` tells."""

    def __init__(self, outcome: ablate.Outcome) -> None:
        super().__init__(outcome.summary())
        self.outcome = outcome


def confirm(store: Path, search: str, most: int, seeds: int, run: Run) -> str:
    """Run the ``most`` best settings of each cell on ``seeds`` fresh seeds, scored on validation pictures; then each
    cell's pick once more with the test pictures open; what came out. Raises NotWhole."""
    sheet = again.search_sheet(store, search)
    found = again.best(store, sheet, most)
    fresh = _fresh(sheet["seeds"][0], seeds)
    study = again.confirmation(sheet, found, fresh)
    _whole(run(study))
    val = again.mean_errors(store, study, "val")
    picks = again.picks(sheet, found, val, fresh)
    _whole(run(picks))
    text = told.confirmed(found, val, again.mean_errors(store, picks, "test"), seeds)
    return f"{text}\nNext: nowt report {picks.name} --store {store}    or    nowt report {study.name} --store {store}"


def transfer(
    store: Path,
    search: str,
    most: int,
    recipe: Callable[[Rule], RunConfig],
    to: str,
    overrides: Sequence[Override],
    seeds: int,
    run: Run,
) -> str:
    """Run the ``most`` best settings of each cell, unchanged, on ``recipe``; what carried over. Raises NotWhole."""
    require(most >= 1, f"--best is {most}: it must be at least 1")
    sheet = again.search_sheet(store, search)
    found = again.best(store, sheet, most)
    study = again.transfer(sheet, found, recipe, to, overrides, _fresh(sheet["seeds"][0], seeds))
    _whole(run(study))
    text = told.carried_over(found, again.mean_errors(store, study, "val"), seeds)
    return f"{text}\nNext: nowt report {study.name} --store {store}"


def _fresh(used: int, count: int) -> tuple[int, ...]:
    require(count >= 1, f"the number of fresh seeds is {count}: it must be at least 1")
    return tuple(range(used + 1, used + 1 + count))


def _whole(outcome: ablate.Outcome) -> None:
    if outcome.interrupted or outcome.capped or outcome.failed:
        raise NotWhole(outcome)
