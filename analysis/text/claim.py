"""Sentences about a study's claim and its verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.frames.study import rows
from analysis.stats.claim import (
    BEYOND,
    EQUAL_GAPS,
    FEW_SEEDS,
    INTERIM,
    LARGE_ANGLE,
    NO_ANGLE,
    NOT_SHOWN,
    NOT_TESTED,
    OPEN,
    SHOWN,
    UNDEFINED_ANGLE,
    ClaimTest,
)
from analysis.stats.seeds import FEWEST_SEEDS
from analysis.text.formatting import angle, interval, number, p_in_words, points
from analysis.text.study import TOO_FEW_TO_TELL
from nowt.core.formatting import counted
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES
from nowt.studies.claim import Claim

ANGLE = "median over layers, averaged over the epochs of the second half of training and over seeds"

ADDED = "adding seeds when a verdict is known inflates the error of the test above 5 %"

LOOKS = "there is no verdict yet, because testing a claim repeatedly while runs finish inflates its error"


@dataclass(frozen=True)
class ClaimText:
    """What the report says about a claim."""

    head: str  # the claim and its verdict
    cells: list[str]  # one sentence per cell
    notes: str  # what the tests are


def claim_in_words(test: ClaimTest, margin: float | None) -> ClaimText:
    """Return the claim, its verdict, and one sentence per cell. ``margin`` is that of the report, in points."""
    head = f"Claim: {_claimed(test)}. {_sentence(overall_verdict(test))}."
    cells = [f"{row.cell}: {cell_verdict(row, test.claim)}{_numbers(row, test.claim)}." for row in rows(test.table)]
    return ClaimText(head, cells, " ".join(_notes(test, margin)))


def claim_caption(test: ClaimTest | None) -> list[str]:
    """Return the claim and its verdict for the caption of a figure; empty without a claim."""
    return [] if test is None else [f"claim: {_claimed(test)}: {overall_verdict(test)}"]


def claim_method(test: ClaimTest | None) -> str:
    """Return a sentence for the methods paragraph; empty without a claim."""
    if test is None:
        return ""
    limit = test.claim.max_delta_angle
    valid = f", tested where the δ angle ({ANGLE}) is below {limit:g}°" if limit is not None else ""
    how = "two one-sided paired t tests per cell at α = 0.05; all cells must pass, hence no correction (Berger 1982)"
    when = {None: "", 0: ", recorded before the first run"}.get(test.begun, ", recorded after runs had begun")
    added = f". {_sentence(added_in_words(test))}" if test.added else ""
    return f"Claim of the study{when}: {_claimed(test)} ({how}){valid}: {overall_verdict(test)}{added}."


def added_in_words(test: ClaimTest) -> str:
    """Return a clause that names the seeds added after the claim was recorded; empty without such seeds."""
    if not test.added:
        return ""
    were = "was" if len(test.added) == 1 else "were"
    listed = ", ".join(map(str, test.added))
    return f"{counted(len(test.added), 'seed')} ({listed}) {were} added after the claim was recorded"


def late_in_words(test: ClaimTest) -> str:
    """Return a clause that says how many runs had begun when the claim was recorded; empty if none, or unknown."""
    return f"the claim was recorded after {counted(test.begun, 'run')} had begun" if test.begun else ""


def overall_verdict(test: ClaimTest) -> str:
    """Return the verdict on the claim as a whole, with the cells that decide it."""
    if test.verdict == INTERIM:
        row = next(row for row in rows(test.table) if row.verdict == INTERIM)
        return f"interim: {_progress(row)}, no verdict"
    cells = [row.cell for row in rows(test.table) if row.verdict == test.verdict]
    return test.verdict if test.verdict == SHOWN else f"{test.verdict} ({', '.join(cells)})"


def cell_verdict(row: Any, claim: Claim) -> str:
    """Return the verdict on a cell and its reason."""
    if row.verdict == INTERIM:
        return f"interim: {_progress(row)}"
    return f"{row.verdict}: {_reason(row, claim)}" if row.verdict in (NOT_SHOWN, NOT_TESTED) else str(row.verdict)


def _claimed(test: ClaimTest) -> str:
    return claim_clause(test.claim, test.table["against"].iloc[0])


def claim_clause(claim: Claim, reference: str) -> str:
    """Return the claim as a clause."""
    each = "is" if len(claim.cells) == 1 else "are each"
    return f"{_listed(claim.cells)} {each} within {points(claim.margin)} of {reference}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _progress(row: Any) -> str:
    failed = f", {counted(row.failed, 'run')} failed" if row.failed else ""
    return f"{row.n} of {counted(row.seeds, 'seed')}{failed}"


def _reason(row: Any, claim: Claim) -> str:
    margin, limit = points(claim.margin), claim.max_delta_angle
    needed = f"the claim needs less than {limit:g}°" if limit is not None else ""
    return {
        BEYOND: f"a gap of more than {margin} is shown ({p_in_words(row.p_beyond)})",
        OPEN: f"whether the gap is within {margin} is undecided",
        FEW_SEEDS: f"{counted(row.n, 'seed')}, a test requires at least {FEWEST_SEEDS}",
        AT_CHANCE: f"{counted(row.at_chance, 'run')} of {row.cell} or {row.against} diverged or ended at chance",
        TOO_FEW_IMAGES: f"{counted(row.too_few_images, 'run')} of {row.cell} or {row.against} {TOO_FEW_TO_TELL}",
        EQUAL_GAPS: "the gap is the same for every seed, which a t test cannot judge",
        NO_ANGLE: f"{counted(row.n - row.angles, 'run')} measured no δ angle in the second half of training, {needed}",
        UNDEFINED_ANGLE: f"the δ angle is undefined in {counted(row.undefined, 'run')}, {needed}",
        LARGE_ANGLE: f"the δ angle is {_degrees(row.delta_angle)}, {needed}",
    }[row.reason]


def _degrees(value: float) -> str:
    return f"{value:.0f}°" if value >= 10 else f"{angle(value)}°"


def _numbers(row: Any, claim: Claim) -> str:
    """Return the gap and what is known of it, as far as it is."""
    parts = [f"gap {number(row.mean, '+')} points"] * (row.n > 0)
    parts += [f"90 % interval {interval(row.low, row.high, '+')}"] * (row.low == row.low)
    if row.p_above == row.p_above:
        above, below = number(-claim.margin, digits=_digits(claim)), number(claim.margin, "+", _digits(claim))
        parts.append(
            f"one-sided {p_in_words(row.p_above)} (above {above}) and {p_in_words(row.p_below)} (below {below})"
        )
    shown = row.delta_angle == row.delta_angle and row.reason != LARGE_ANGLE
    parts += [f"δ angle {_degrees(row.delta_angle)}"] * shown
    return "".join(f"; {part}" for part in parts)


def _digits(claim: Claim) -> int:
    return len(f"{claim.margin:g}".partition(".")[2])


def _recorded(test: ClaimTest) -> str:
    """Return a sentence that says whether the claim was stated before the runs."""
    if test.begun is None:
        return "It is unknown when the claim was recorded."
    if test.begun == 0:
        return "The claim was recorded before the first run began."
    return f"{_sentence(late_in_words(test))}, so it was not stated beforehand."


def _notes(test: ClaimTest, margin: float | None) -> list[str]:
    limit, given = test.claim.max_delta_angle, 0.0 if margin is None else margin
    own = f"--margin {given:g} applies to the comparisons; the claim keeps its margin of {points(test.claim.margin)}."
    notes = [
        _recorded(test),
        f"{_sentence(added_in_words(test))}: {ADDED}." if test.added else "",
        f"This is an interim look: {LOOKS}." if test.verdict == INTERIM else "",
        "Each cell has two one-sided paired t tests at α = 0.05. All cells must pass, so there is no correction for "
        "their number (Berger 1982). A 90 % interval within the margin means that both tests are significant.",
        f"δ angle, which must be below {limit:g}°: {ANGLE}." if limit is not None else "",
        own if margin not in (None, test.claim.margin) else "",
    ]
    return [note for note in notes if note]
