"""Sentences about irregularities of a study's runs, which figures nevertheless include as far as possible."""

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.frames.study import Frames, counted_runs
from analysis.stats.run_warnings import run_warnings
from analysis.stats.seeds import curve_split

SHOWN = 5  # names in a sentence


def irregularities(frames: Frames) -> list[str]:
    """Return one sentence per irregularity."""
    return [*warnings_in_words(frames), *_without_angles(frames), *_without_numbers(frames), *_lengths(frames)]


def warnings_in_words(frames: Frames) -> list[str]:
    """Return a sentence that names every finished run whose result may mislead, and why; empty without one."""
    warnings = run_warnings(frames)
    named = [
        f"{cell} with seed {seed} ({', '.join(group['warning'])})"
        for (cell, seed), group in warnings.groupby(["cell", "seed"], sort=False)
    ]
    return [f"{_warned(len(named))}: {'; '.join(named)}."] if named else []


def warned_cells_in_words(frames: Frames) -> list[str]:
    """Return a sentence that says of each cell how many of its finished runs have a warning, and of which kinds; empty
    without one. The numbers of each run are in ``warnings_in_words``."""
    warnings, finished = run_warnings(frames), frames.runs[frames.runs["state"] == "finished"]["cell"].value_counts()
    named = [
        f"{cell} ({group['seed'].nunique()} of {finished[cell]}: {', '.join(dict.fromkeys(group['kind']))})"
        for cell, group in warnings.groupby("cell", sort=False)
    ]
    runs = len(warnings[["cell", "seed"]].drop_duplicates())
    return [f"{_warned(runs)}: {_some(named)}."] if named else []


def _warned(runs: int) -> str:
    return f"{'A run' if runs == 1 else f'{runs} runs'} finished with a warning"


def _without_angles(frames: Frames) -> Iterator[str]:
    """Report cells without an angle if other cells have one and the rule has feedback weights."""
    finished = frames.runs[(frames.runs["state"] == "finished") & (frames.runs["rule"] != "bp")]
    measured = set(frames.layers.dropna(subset=["matrix_angle", "delta_angle"], how="all")["cell"])
    without = [cell for cell in dict.fromkeys(finished["cell"]) if cell not in measured]
    if without and measured:
        yield f"No angle was measured for {_some(without)}; the alignment figures omit it."


def _without_numbers(frames: Frames) -> Iterator[str]:
    """Report finished runs in which an epoch has no error."""
    column = f"{curve_split(frames)}_error"
    finished = frames.runs.loc[frames.runs["state"] == "finished", ["run", "cell", "seed"]]
    holes = frames.epochs[frames.epochs[column].isna()].merge(finished, on=["run", "cell", "seed"])
    if len(holes):
        named = [f"{row.cell} with seed {row.seed} at epoch {row.epoch}" for row in holes.itertuples()]
        yield f"Epochs without an error, excluded from the mean: {_some(named)}."


def _lengths(frames: Frames) -> Iterator[str]:
    """Report cells trained for different numbers of epochs, and runs that finished early."""
    counted = counted_runs(frames.runs)
    lengths = counted.groupby("cell", sort=False)["epochs"].first()
    if lengths.nunique() > 1:
        each = [f"{cell} ({epochs})" for cell, epochs in lengths.items()]
        yield f"Cells differ in their number of epochs, and each is evaluated after its own last epoch: {_some(each)}."
    short = counted[(counted["state"] == "finished") & (counted["last_epoch"] < counted["epochs"])]
    if len(short):
        yield f"Finished before the configured number of epochs: {_some(_runs(short))}."


def _runs(frame: pd.DataFrame) -> list[str]:
    return [f"{row.cell} with seed {row.seed} (epoch {row.last_epoch} of {row.epochs})" for row in frame.itertuples()]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
