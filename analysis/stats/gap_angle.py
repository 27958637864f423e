"""Each cell's gap in error to its reference, and its δ angle while it learned."""

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.chance import Chance
from analysis.stats.contrasts import references
from analysis.stats.layers import late_delta_angles
from analysis.stats.seeds import error_curves, final_errors, mean_interval, paired_gaps_of, scored_split


def gaps_and_angles(frames: Frames) -> pd.DataFrame:
    """Return the gap and the δ angle of each cell that has both.

    Args:
        frames: The study's frames.

    Returns:
        One row per cell: cell, against, n (seeds of the gap), gap, gap_low, gap_high (percentage points, paired by
        seed, 95 % t interval), angle_n (finished runs), angle, angle_low, angle_high (degrees; mean over the angles of
        ``late_delta_angles``, 95 % t interval). Cells whose angle is undefined in a run are left out, and so are those
        that ended at chance together with their reference.

    Example:
        >>> gaps_and_angles(frames)[["cell", "angle", "gap"]]  # doctest: +SKIP
    """
    against = references(frames.study)
    gaps = paired_gaps_of(final_errors(error_curves(frames, scored_split(frames))), against)
    gaps = mean_interval(gaps.assign(gap=100 * gaps["gap"]), ["cell", "against"], "gap")
    gaps = gaps.rename(columns={"mean": "gap", "low": "gap_low", "high": "gap_high"})
    void = {cell for cell, _ in Chance.of(frames).void(against.items())}
    return gaps[~gaps["cell"].isin(void)].merge(_angles(frames), on="cell")


def _angles(frames: Frames) -> pd.DataFrame:
    """Return the mean δ angle of each cell over its finished runs, without cells in one of which it is undefined."""
    runs = late_delta_angles(frames)
    undefined = set(runs.loc[runs["delta_angle"].isna(), "cell"])
    means = mean_interval(runs[~runs["cell"].isin(undefined)], ["cell"], "delta_angle")
    names = {"n": "angle_n", "mean": "angle", "low": "angle_low", "high": "angle_high"}
    return means.rename(columns=names)
