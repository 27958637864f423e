"""The mean error over the seeds of a cell, and why it may mislead."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, LEARNED, TOO_FEW_IMAGES, joint_verdict, score_of
from nowt.store.records import RunLog, chance_error

REMARKS = {AT_CHANCE: "at chance", TOO_FEW_IMAGES: "too few images to tell from chance"}


@dataclass(frozen=True)
class MeanError:
    """The mean over seeds of a cell's error after the last epoch. A diverged run counts as an error at chance.

    Attributes:
        error: Fraction of the images, 0 to 1.
        remark: Why it may mislead: diverged runs, or that no run shows that it has learned; otherwise empty.
    """

    error: float
    remark: str = ""

    @classmethod
    def of(cls, runs: Sequence[RunLog], split: str) -> "MeanError":
        """Return the mean of these runs on ``split``, ``val`` or ``test``."""
        verdict = joint_verdict(AT_CHANCE if r.state == "diverged" else score_of(r, split).verdict for r in runs)
        diverged = sum(run.state == "diverged" for run in runs)
        remarks = [f"{diverged} of {counted(len(runs), 'run')} diverged"] if diverged else []
        remarks += [] if verdict == LEARNED else [REMARKS[verdict]]
        return cls(statistics.fmean(_error(run, split) for run in runs), ", ".join(remarks))

    def to_text(self) -> str:
        """Return the error as a percentage, with the remark."""
        return f"{format_percent(self.error)}{f' [{self.remark}]' if self.remark else ''}"


def _error(run: RunLog, split: str) -> float:
    if run.state == "diverged":
        return chance_error(run.start["classes"])
    last = run.epochs[-1]
    return last.test_error if split == "test" else last.val_error


def format_percent(error: float) -> str:
    """Return an error between 0 and 1 as a percentage."""
    return f"{100 * error:.2f} %"
