"""What is unusual about a study's runs, a sentence each: it is drawn as far as it can be."""

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.stats.seeds import scored_split

SHOWN = 5  # names in a sentence


def oddities(frames: Frames) -> list[str]:
    """The sentences; none for a study without any."""
    return [*_without_angles(frames), *_without_numbers(frames), *_lengths(frames)]


def _without_angles(frames: Frames) -> Iterator[str]:
    """Cells without an angle, where others have one and the rule has weights of its own."""
    finished = frames.runs[(frames.runs["state"] == "finished") & (frames.runs["rule"] != "bp")]
    measured = set(frames.layers.dropna(subset=["matrix_angle", "delta_angle"], how="all")["cell"])
    without = [cell for cell in dict.fromkeys(finished["cell"]) if cell not in measured]
    if without and measured:
        yield f"No angle was measured for {_some(without)}: the figures of alignment leave it out."


def _without_numbers(frames: Frames) -> Iterator[str]:
    """Finished runs in which some epoch has no error: it is left out of that epoch's mean."""
    column = f"{scored_split(frames)}_error"
    finished = frames.runs.loc[frames.runs["state"] == "finished", ["run", "cell", "seed"]]
    holes = frames.epochs[frames.epochs[column].isna()].merge(finished, on=["run", "cell", "seed"])
    if len(holes):
        named = [f"{row.cell} with seed {row.seed} at epoch {row.epoch}" for row in holes.itertuples()]
        yield f"Without an error, and left out of its epoch's mean: {_some(named)}."


def _lengths(frames: Frames) -> Iterator[str]:
    """Cells that ran for different numbers of epochs."""
    counted = counted_runs(frames.runs)
    lengths = counted.groupby("cell", sort=False)["epochs"].first()
    if lengths.nunique() > 1:
        said = [f"{cell} {epochs}" for cell, epochs in lengths.items()]
        yield f"Runs have different lengths, and each counts after its own last epoch: {_some(said)} epochs."
    short = counted[(counted["state"] == "finished") & (counted["last_epoch"] < counted["epochs"])]
    if len(short):
        yield f"Finished before the epochs that were asked for: {_some(_runs(short))}."


def _runs(frame: pd.DataFrame) -> list[str]:
    return [f"{row.cell} with seed {row.seed} (epoch {row.last_epoch} of {row.epochs})" for row in frame.itertuples()]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
