"""The error after the last epoch of each run, with what tells it from chance."""

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.stats.seeds import scored_split
from nowt.store.chance import Score


def last_scores(frames: Frames) -> dict[tuple[str, str], Score]:
    """Return the score of each run that has an epoch, by cell and run key, on the split whose errors are shown."""
    split, classes = scored_split(frames), dict(zip(frames.runs["run"], frames.runs["classes"], strict=True))
    last = frames.epochs.loc[frames.epochs.groupby(["cell", "run"])["epoch"].idxmax()]
    scores = {}
    for row in rows(last):
        known: int = 0 if pd.isna(classes[row.run]) else int(classes[row.run])
        images = frames.images.get(row.run, {}).get(split, 0)
        scores[row.cell, row.run] = Score(float(getattr(row, f"{split}_error")), known, images, split)
    return scores
