"""Whether an error can be told from that of guessing, given the number of images on which it was measured.

Everything that speaks of chance asks here: warnings, tables, figures, verdicts and the summary of a search.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from nowt.store.records import RunLog, chance_error

Verdict = Literal["learned", "at chance", "too few images"]

LEARNED: Verdict = "learned"

AT_CHANCE: Verdict = "at chance"

TOO_FEW_IMAGES: Verdict = "too few images"

CHANCE_FACTOR, CHANCE_POINTS = 1.5, 0.05  # a network that names one class reaches this where classes differ in size

LEAST_LEARNED = 0.2  # share of the way from guessing to no error (Cohen's κ) that a network with clear success reaches

TAIL = 0.025  # probability beyond each end of a 95 % interval

SPLIT_NAMES = {"val": "validation", "test": "test"}  # also of the numbers of images in the start line of a log

NEGLIGIBLE = 1e-12  # relative size of the first term that a sum leaves out


def judge(error: float, classes: int, images: int) -> Verdict:
    """Return whether an error shows that a network has learned.

    - ``learned``: the exact 95 % interval of the accuracy lies above 1/classes, and the accuracy is more than 1.5 times
      that of guessing or more than 5 percentage points above it.
    - ``too few images``: the interval contains both 1/classes and the accuracy of a network that has clearly learned, a
      fifth of the way from guessing to no error.
    - ``at chance``: otherwise.

    Args:
        error: Fraction of the images that was misclassified, 0 to 1.
        classes: Number of classes; 0 if unknown. The verdict is then ``learned``, so that nothing is claimed.
        images: Number of images; 0 if unknown, as in logs of earlier versions. The accuracy then decides alone.

    Reference:
        Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial".

    Example:
        >>> from nowt.store.chance import judge
        >>> judge(0.90, 10, 360), judge(0.80, 10, 360), judge(0.80, 10, 16)
        ('at chance', 'learned', 'too few images')
    """
    if classes < 2 or math.isnan(error):
        return LEARNED
    guessing = 1 - chance_error(classes)
    accurate = 1 - error > min(CHANCE_FACTOR * guessing, guessing + CHANCE_POINTS)
    if not images:
        return LEARNED if accurate else AT_CHANCE
    hits = min(max(round(images * (1 - error)), 0), images)
    clear = guessing + LEAST_LEARNED * (1 - guessing)
    above = _is_above(hits, images, guessing)
    if accurate and above:
        return LEARNED
    below_clear = _is_above(images - hits, images, 1 - clear)
    return AT_CHANCE if above or below_clear else TOO_FEW_IMAGES


@dataclass(frozen=True)
class Score:
    """The error after a run's last epoch.

    Args:
        error: Fraction of the images that was misclassified, 0 to 1.
        classes: Number of classes; 0 if unknown.
        images: Number of images; 0 (default) if unknown.
        split: ``val`` (default) or ``test``.
    """

    error: float
    classes: int
    images: int = 0
    split: str = "val"

    @property
    def verdict(self) -> Verdict:
        """Whether the error shows that the network has learned."""
        return judge(self.error, self.classes, self.images)

    def to_text(self) -> str:
        """Return the error in words, such as ``validation error 90.1 %``."""
        return f"{SPLIT_NAMES[self.split]} error {100 * self.error:.1f} %"


def score_of(run: RunLog, split: str = "") -> Score:
    """Return the score of a run that has an epoch. ``split`` is ``val`` or ``test``; empty (default): the one that a
    report shows, which is ``test`` if the run has a test error."""
    last, classes = run.epochs[-1], run.start.get("classes") or 0
    split = split or ("val" if math.isnan(last.test_error) else "test")
    error = last.test_error if split == "test" else last.val_error
    return Score(error, classes, run.start.get(SPLIT_NAMES[split]) or 0, split)


def last_error(run: RunLog) -> Score:
    """Return the error to print beside a run that has an epoch: that on validation images or, of a run that trains on
    them (``data.hold_out`` is False), that on test images."""
    return score_of(run, "val" if run.start["config"]["data"].get("hold_out", True) else "test")


def has_learned(run: RunLog, split: str = "") -> bool:
    """Return whether a finished run shows that it has learned; a diverged run has not, since it counts with chance
    error. ``split`` is that of ``score_of``."""
    return run.state != "diverged" and score_of(run, split).verdict == LEARNED


def joint_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """Return ``learned`` if one of the verdicts is, otherwise ``too few images`` if one is, otherwise ``at chance``."""
    found = set(verdicts)
    return next((verdict for verdict in (LEARNED, TOO_FEW_IMAGES) if verdict in found), AT_CHANCE)


def _is_above(hits: int, images: int, share: float) -> bool:
    """Return whether the 95 % interval of ``hits`` of ``images`` lies above ``share``: whether so many or more hits are
    too improbable if the true share is ``share``."""
    if hits <= images * share:
        return False
    ways = math.lgamma(images + 1) - math.lgamma(hits + 1) - math.lgamma(images - hits + 1)
    term = math.exp(ways + hits * math.log(share) + (images - hits) * math.log1p(-share))
    total = 0.0
    while term > NEGLIGIBLE * total:  # the terms of the binomial distribution fall from here on
        total, term = total + term, term * (images - hits) / (hits + 1) * share / (1 - share)
        hits += 1
    return total < TAIL
