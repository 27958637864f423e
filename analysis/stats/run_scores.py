"""The error after the last epoch of each run, with what tells it from chance."""

from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.stats.seeds import scored_split
from nowt.store.chance import SPLIT_NAMES, Score


def last_scores(frames: Frames) -> dict[tuple[str, str], Score]:
    """Return the score of each run that has an epoch, by cell and run key, on the split whose errors are shown."""
    split = scored_split(frames)
    last = frames.epochs.loc[frames.epochs.groupby(["cell", "run"])["epoch"].idxmax()]
    errors = {(row.cell, row.run): float(getattr(row, f"{split}_error")) for row in rows(last)}
    runs = {(run.cell, run.run): run for run in rows(frames.runs)}
    return {
        key: Score(
            error, _number(runs[key].classes), _number(getattr(runs[key], f"{SPLIT_NAMES[split]}_images")), split
        )
        for key, error in errors.items()
    }


def _number(value: Any) -> int:
    return 0 if pd.isna(value) else int(value)
