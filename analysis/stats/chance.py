"""Runs that ended at chance, and comparisons that are void because both cells did.

A run ended at chance if it diverged, since it then counts with chance error, or if its last validation error is about
that of guessing (``nowt.store.outcome``), as in the warning about the run. Where neither of two cells has learned, the
gap between their errors says nothing about them, and a small gap is no sign of equivalence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.frames.study import Frames, counted_runs, rows
from analysis.stats.seeds import diverged_counts
from nowt.store.outcome import is_at_chance


@dataclass(frozen=True)
class Chance:
    """Which runs of a study ended at chance.

    Attributes:
        ended: For each cell, whether its counted run of each seed ended at chance.
        finished: For each cell, how many of its finished runs ended at chance.
    """

    ended: Mapping[str, Mapping[int, bool]] = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: Frames) -> "Chance":
        """Read it from a study's frames."""
        last = frames.epochs.loc[frames.epochs.groupby(["cell", "run"])["epoch"].idxmax()]
        errors = {(row.cell, row.run): row.val_error for row in rows(last)}
        ended: dict[str, dict[int, bool]] = {}
        finished: Counter[str] = Counter()
        for run in rows(counted_runs(frames.runs)):
            error, diverged = errors.get((run.cell, run.run)), run.state == "diverged"
            guessed = error is not None and not pd.isna(run.classes) and is_at_chance(error, int(run.classes))
            ended.setdefault(run.cell, {})[run.seed] = diverged or guessed
            finished[run.cell] += guessed and not diverged
        return cls(ended, finished)

    def pairs(self, cell: str, against: str) -> int:
        """Return for how many of the seeds that two cells share both ended at chance."""
        return sum(self._shared(cell, against))

    def both(self, cell: str, against: str) -> bool:
        """Return whether both cells ended at chance for every seed that they share, so that a comparison is void."""
        shared = self._shared(cell, against)
        return bool(shared) and all(shared)

    def void(self, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the pairs (cell, against) for which ``both`` is true."""
        return {pair for pair in pairs if self.both(*pair)}

    def _shared(self, cell: str, against: str) -> list[bool]:
        mine, its = self.ended.get(cell, {}), self.ended.get(against, {})
        return [at_chance and its[seed] for seed, at_chance in mine.items() if seed in its]


def outcome_counts(frames: Frames) -> pd.DataFrame:
    """Return, for each cell, the number of counted runs ``n``, how many ``diverged``, and how many others ended
    ``at_chance``."""
    counts, finished = diverged_counts(frames.runs), Chance.of(frames).finished
    return counts.assign(at_chance=counts["cell"].map(lambda cell: finished[cell]).astype("int64"))
