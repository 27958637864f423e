"""The test of a study's claim: is each of its cells within the margin of its reference (``nowt.studies.claim``)?

Each cell has two one-sided paired t tests against the study's reference at α = 0.05, as in
``analysis.stats.equivalence``. The claim is shown if all cells are, so that there is no correction for their number:
intersection-union test (Berger 1982). There is no verdict before all runs of the cell and its reference have ended,
because repeated tests would inflate the error. A cell is not tested if it cannot be (fewer than three seeds, equal
gaps), if a run of it or of its reference ended at chance or has too few images to tell, or if the δ angle is not below
the claim's limit.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from analysis.frames.schema import enforce_schema
from analysis.frames.study import Frames, counted_runs
from analysis.stats.chance import COUNTS, Chance
from analysis.stats.equivalence import ALPHA, margin_p_values, one_sided_p_values
from analysis.stats.layers import late_delta_angles
from analysis.stats.paired import t_tests
from analysis.stats.seeds import FEWEST_SEEDS, error_curves, final_errors, paired_gaps_of, scored_split
from nowt.store.chance import AT_CHANCE, TOO_FEW_IMAGES
from nowt.store.records import FAILED_STATES
from nowt.studies.claim import Claim

SHOWN, NOT_SHOWN, NOT_TESTED, INTERIM = "shown", "not shown", "not tested", "interim"  # verdicts

BEYOND, OPEN = "beyond the margin", "undecided"  # reasons of NOT_SHOWN

# reasons of NOT_TESTED
FEW_SEEDS, EQUAL_GAPS = "few seeds", "equal gaps"  # besides AT_CHANCE and TOO_FEW_IMAGES
NO_ANGLE, UNDEFINED_ANGLE, LARGE_ANGLE = "no δ angle", "undefined δ angle", "large δ angle"

CLAIM = {
    "cell": "str",
    "against": "str",  # the study's reference
    "seeds": "int64",  # planned, of the cell and the one it is compared with
    "n": "int64",  # seeds for which both have a result
    "failed": "int64",  # runs of both that failed
    "at_chance": "int64",  # runs of both that diverged or ended at chance
    "too_few_images": "int64",  # runs of both with too few images to tell
    "mean": "float64",  # gap, percentage points
    "low": "float64",  # 90 % t interval: it lies within the margin if both one-sided tests are significant
    "high": "float64",
    "p_above": "float64",  # one-sided, that the gap is above −margin; NaN without a verdict
    "p_below": "float64",  # one-sided, that the gap is below the margin
    "p_beyond": "float64",  # two-sided, that the gap is beyond the margin
    "delta_angle": "float64",  # degrees, mean of ``late_delta_angles`` over finished runs; NaN if undefined in one
    "angles": "int64",  # finished runs with such an angle
    "undefined": "int64",  # of them, those whose angle is undefined
    "verdict": "str",
    "reason": "str",  # of a verdict other than SHOWN and INTERIM
}

P_VALUES = ["p_above", "p_below", "p_beyond"]


@dataclass(frozen=True)
class ClaimTest:
    """The test of a claim.

    Attributes:
        claim: The claim.
        table: One row per cell of the claim, columns ``CLAIM``.
        begun: Number of runs that had begun when the claim was recorded, of the study and of the search whose best
            settings it trains; None if unknown.
        added: Seeds with results that were not planned when the claim was recorded. Adding seeds to a test whose
            result is known is another test.
    """

    claim: Claim
    table: pd.DataFrame
    begun: int | None = None
    added: tuple[int, ...] = ()

    @property
    def verdict(self) -> str:
        """The verdict on the claim as a whole: SHOWN if every cell is; INTERIM while a cell has none."""
        found = set(self.table["verdict"])
        return next(verdict for verdict in (INTERIM, NOT_SHOWN, NOT_TESTED, SHOWN) if verdict in found)


def claim_test(frames: Frames) -> ClaimTest | None:
    """Test the claim of a study.

    Args:
        frames: The study's frames.

    Returns:
        The test; None if the study has no claim.

    Reference:
        Berger (1982), "Multiparameter hypothesis testing and acceptance sampling"; Schuirmann (1987).

    Example:
        >>> claim_test(frames).verdict  # doctest: +SKIP
    """
    claim = frames.study.claim
    if claim is None:
        return None
    pairs = dict.fromkeys(claim.cells, frames.study.reference)  # not a counterpart, as in ``contrasts``
    table = pd.DataFrame([_runs(frames, cell, other) for cell, other in pairs.items()])
    table = table.merge(_gaps(frames, pairs, claim.margin), on="cell", how="left")
    table = table.merge(_angles(frames), on="cell", how="left")
    counts = ["n", "angles", "undefined"]
    table = table.assign(**{name: table[name].fillna(0).astype("int64") for name in counts})
    judged = pd.DataFrame([_judged(row, claim) for row in table.itertuples()], columns=["verdict", "reason"])
    untested = ~judged["verdict"].isin([SHOWN, NOT_SHOWN])
    table[P_VALUES] = table[P_VALUES].mask(untested)
    table = enforce_schema(table.join(judged), CLAIM)
    return ClaimTest(claim, table, frames.before_claim, _added_seeds(frames, claim))


def _added_seeds(frames: Frames, claim: Claim) -> tuple[int, ...]:
    """Return the seeds that enter the test, but were not planned when the claim was recorded; empty if unknown."""
    planned = frames.study.claimed_seeds
    runs = counted_runs(frames.runs)
    tested = set(runs["seed"][runs["cell"].isin([*claim.cells, frames.study.reference])])
    return () if planned is None else tuple(sorted(tested - set(planned)))


def _runs(frames: Frames, cell: str, against: str) -> dict[str, Any]:
    """Return the planned seeds of two cells, and how many of their runs failed or have not learned."""
    runs = frames.runs[frames.runs["cell"].isin([cell, against])]
    ended = Chance.of(frames).ended
    verdicts = [verdict for name in (cell, against) for verdict in ended.get(name, {}).values()]
    return {
        "cell": cell,
        "against": against,
        "seeds": runs["seed"].nunique(),
        "failed": int(runs["state"].isin([*FAILED_STATES, "unreadable"]).sum()),
        **{name: verdicts.count(verdict) for verdict, name in COUNTS.items()},
        "complete": len(counted_runs(runs)) == len(runs),
    }


def _gaps(frames: Frames, pairs: dict[str, str], margin: float) -> pd.DataFrame:
    """Return n, mean, low and high (90 % interval) and the p values of each cell's gaps, in percentage points."""
    gaps = paired_gaps_of(final_errors(error_curves(frames, scored_split(frames))), pairs)
    found = t_tests(gaps.assign(gap=100 * gaps["gap"]), ["cell"])
    half = stdtrit(found["n"] - 1, 1 - ALPHA) * found["error"]
    found = found.assign(low=found["mean"] - half, high=found["mean"] + half)
    p = pd.concat([one_sided_p_values(found, margin), margin_p_values(found, margin)[["p_beyond"]]], axis=1)
    return pd.concat([found[["cell", "n", "mean", "low", "high"]], p], axis=1)


def _angles(frames: Frames) -> pd.DataFrame:
    """Return the δ angle of each cell, the number of finished runs with one, and how many of these are undefined."""
    groups = late_delta_angles(frames).groupby("cell", sort=False)["delta_angle"]
    found = groups.agg(delta_angle=lambda angles: angles.mean(skipna=False), angles="size", defined="count")
    found["undefined"] = found["angles"] - found["defined"]
    return found.drop(columns="defined").reset_index()


def _judged(row: Any, claim: Claim) -> tuple[str, str]:
    """Return the verdict on a cell, and its reason."""
    if not row.complete:
        return INTERIM, ""
    if reason := _obstacle(row, claim):
        return NOT_TESTED, reason
    if max(row.p_above, row.p_below) <= ALPHA:
        return SHOWN, ""
    return NOT_SHOWN, BEYOND if row.p_beyond <= ALPHA else OPEN


def _obstacle(row: Any, claim: Claim) -> str:
    """Return why a cell whose runs have all ended is not tested; empty if it is."""
    limit = claim.max_delta_angle
    obstacles = {
        FEW_SEEDS: row.n < FEWEST_SEEDS,
        AT_CHANCE: row.at_chance > 0,
        TOO_FEW_IMAGES: row.too_few_images > 0,
        EQUAL_GAPS: pd.isna(row.p_above),
        NO_ANGLE: limit is not None and row.angles < row.n,
        UNDEFINED_ANGLE: limit is not None and row.undefined > 0,
        LARGE_ANGLE: limit is not None and row.delta_angle >= limit,
    }
    return next((reason for reason, found in obstacles.items() if found), "")
