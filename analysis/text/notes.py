"""The notes below a study's table, stating what its numbers are and what is missing from them."""

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.stats.layers import measured_cells
from analysis.stats.seeds import diverged_counts, error_curves, final_errors, partial_gaps, scored_split
from analysis.text.irregularities import irregularities
from analysis.text.study import SPLITS, chance_in_words, interval_in_words, permutation_in_words, seeds_in_words
from nowt.core.formatting import counted


def notes(frames: Frames, table: pd.DataFrame) -> str:
    """Return sentences stating the number of seeds, what intervals and errors are, what diverged, and what is
    missing."""
    n = diverged_counts(frames.runs)["n"]
    split = SPLITS[scored_split(frames)]
    pairs = int(table["gap_n"].max())
    reference = frames.study.reference
    gaps = f"gaps to {reference} are paired by seed"
    missing = "has no finished run" if reference in frames.study.cells else "is not a cell of this study"
    gaps = gaps if pairs else f"no gaps, because {reference} {missing}"
    sentences = [
        f"Means over {seeds_in_words(n)}; {interval_in_words(n, 'intervals')}; {gaps}.",
        f"Errors are {split} errors after the last epoch, not the best one.",
        *_partial_in_words(frames),
        chance_in_words(frames.runs),
        _outside_in_words(table),
        _angles_in_words(frames, table),
        permutation_in_words(pairs) if pairs else "",
        _missing_in_words(frames),
        _replaced_in_words(frames.study.replaced),
        *irregularities(frames),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _partial_in_words(frames: Frames) -> list[str]:
    """Return a sentence that lists the seeds of each gap over fewer seeds than the errors beside it."""
    final = final_errors(error_curves(frames, scored_split(frames)))
    reference = frames.study.reference
    partial = partial_gaps(final, dict.fromkeys(final["cell"], reference))
    listed = [
        f"{cell} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        for cell, seeds in partial.items()
        if seeds
    ]
    start = "These gaps are over the seeds that both cells have, which are fewer than those of an error beside them"
    return [f"{start}: {', '.join(listed)}."] if listed else []


def _outside_in_words(table: pd.DataFrame) -> str:
    outside = table[(table["error_low_percent"] < 0) | (table["error_high_percent"] > 100)]
    names = ", ".join(outside["cell"])
    return (
        f"The interval of {names} extends beyond 0 or 100 %: its runs vary too much for a t interval." if names else ""
    )


def _angles_in_words(frames: Frames, table: pd.DataFrame) -> str:
    if not measured_cells(frames):
        return "No finished run measured the angle between feedback and forward weights."
    known = table.loc[table["matrix_angle_degrees"].notna(), "cell"]
    undefined = [cell for cell in measured_cells(frames) if cell not in set(known)]
    some = f"; undefined for {', '.join(undefined)}, because it is undefined in a layer of a run" if undefined else ""
    return f"Matrix angles are from the last alignment probe: median over layers, mean over finished runs{some}."


def _missing_in_words(frames: Frames) -> str:
    planned, missing = len(frames.runs), len(frames.runs) - len(counted_runs(frames.runs))
    verbs = "has not finished and is" if missing == 1 else "have not finished and are"
    return f"{missing} of {counted(planned, 'run')} {verbs} not included." if missing else ""


def _replaced_in_words(replaced: int) -> str:
    verb = "is" if replaced == 1 else "are"
    return f"{counted(replaced, 'earlier run')} with other data or code {verb} not included." if replaced else ""
