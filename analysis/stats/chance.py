"""Runs that do not show that they have learned, and comparisons that are void because neither cell has.

A run ended at chance if it diverged, since it then counts with chance error, or if its last error cannot be told from
that of guessing. If its images are too few for either statement, that is its verdict. Both are judged by
``nowt.store.chance`` on the split whose errors are shown, as in the warning about the run. Where neither of two cells
has learned, the gap between their errors says nothing about them, and a small gap is no sign of equivalence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.frames.study import Frames, counted_runs, rows
from analysis.stats.run_scores import last_scores
from analysis.stats.seeds import diverged_counts
from nowt.store.chance import AT_CHANCE, LEARNED, TOO_FEW_IMAGES, Verdict, joint_verdict

COUNTS: dict[Verdict, str] = {AT_CHANCE: "at_chance", TOO_FEW_IMAGES: "too_few_images"}  # names of columns


@dataclass(frozen=True)
class Chance:
    """Which runs of a study have learned.

    Attributes:
        ended: For each cell, the verdict on its counted run of each seed.
        finished: For each cell, how many of its finished runs have each verdict.
    """

    ended: Mapping[str, Mapping[int, Verdict]] = field(default_factory=dict)
    finished: Mapping[str, Counter[Verdict]] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: Frames) -> "Chance":
        """Read it from a study's frames."""
        scores = last_scores(frames)
        ended: dict[str, dict[int, Verdict]] = {}
        finished: dict[str, Counter[Verdict]] = {}
        for run in rows(counted_runs(frames.runs)):
            score, diverged = scores.get((run.cell, run.run)), run.state == "diverged"
            verdict = AT_CHANCE if diverged else score.verdict if score else LEARNED
            ended.setdefault(run.cell, {})[run.seed] = verdict
            finished.setdefault(run.cell, Counter())[verdict] += not diverged
        return cls(ended, finished)

    def counts(self, cells: Iterable[str]) -> dict[str, list[int]]:
        """Return, for each of these cells, how many of its finished runs ended ``at_chance``, and how many have
        ``too_few_images`` to tell."""
        finished = [self.finished.get(cell, Counter()) for cell in cells]
        return {name: [found[verdict] for found in finished] for verdict, name in COUNTS.items()}

    def pairs(self, cell: str, against: str) -> Counter[Verdict]:
        """Return how many of the seeds that two cells share have each joint verdict: ``learned`` if either cell has."""
        return Counter(self._shared(cell, against))

    def void(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Verdict]:
        """Return the joint verdict of the pairs (cell, against) that are void: neither cell has learned with any seed
        that both have."""
        found = {pair: self._shared(*pair) for pair in pairs}
        verdicts = {pair: joint_verdict(shared) for pair, shared in found.items() if shared}
        return {pair: verdict for pair, verdict in verdicts.items() if verdict != LEARNED}

    def void_in_all(self, pairs: Iterable[tuple[str, str]]) -> str:
        """Return the joint verdict of pairs that are all void; empty if one of them is not."""
        listed = list(pairs)
        void = self.void(listed)
        return joint_verdict(void.values()) if listed and void.keys() == set(listed) else ""

    def _shared(self, cell: str, against: str) -> list[Verdict]:
        mine, its = self.ended.get(cell, {}), self.ended.get(against, {})
        return [joint_verdict((verdict, its[seed])) for seed, verdict in mine.items() if seed in its]


def outcome_counts(frames: Frames) -> pd.DataFrame:
    """Return, for each cell, the number of counted runs ``n``, how many ``diverged``, how many others ended
    ``at_chance``, and how many have ``too_few_images`` to tell."""
    counts = diverged_counts(frames.runs)
    return counts.assign(**Chance.of(frames).counts(counts["cell"]))
