"""Alignment by layer and by run: means over finished runs, and a layer's place between input and output."""

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.seeds import error_curves, final_errors, percent

ANGLES = ["matrix_angle", "delta_angle"]

MEASURES = [*ANGLES, "norm_ratio"]


def layer_means(frames: Frames) -> pd.DataFrame:
    """Return each layer's measures by epoch, averaged over finished runs.

    Columns: cell, epoch, layer, depth, MEASURES (angles in degrees), and ``place`` from 0 (input) to 1 (output).
    """
    groups = _finished(frames).groupby(["cell", "epoch", "layer", "depth"], sort=False)
    means = groups[MEASURES].mean().reset_index()
    deepest = means.groupby("cell")["depth"].transform("max").clip(lower=1)
    return means.assign(place=means["depth"] / deepest)


def measured_cells(frames: Frames) -> list[str]:
    """Return the cells with a finished run in which an angle was measured, in the study's order."""
    angles = _finished(frames)
    measured = set(angles.loc[angles[ANGLES].notna().any(axis=1), "cell"])
    return [cell for cell in frames.study.cells if cell in measured]


def final_layers(frames: Frames) -> pd.DataFrame:
    """Return the rows of ``layer_means`` at each cell's last alignment probe."""
    means = layer_means(frames)
    return means[means["epoch"] == means.groupby("cell")["epoch"].transform("max")]


def final_angles(frames: Frames) -> pd.DataFrame:
    """Return each cell's matrix angle at the last probe, degrees: median over layers, mean over finished runs."""
    medians = _median_angles(frames)
    return medians.groupby("cell", sort=False)["matrix_angle"].mean().reset_index()


def angles_and_errors(frames: Frames, split: str) -> pd.DataFrame:
    """Return one row per finished run with an angle: cell, run, seed, final error (percent), and ANGLES.

    An angle is the median over layers at the run's last probe, in degrees.
    """
    final = percent(final_errors(error_curves(frames, split)))
    joined = final[["cell", "run", "seed", "error"]].merge(_median_angles(frames), on=["cell", "run"])
    return joined.dropna(subset="error").dropna(subset=ANGLES, how="all")


def _finished(frames: Frames) -> pd.DataFrame:
    """Return the rows of ``frames.layers`` that belong to finished runs."""
    finished = frames.runs.loc[frames.runs["state"] == "finished", ["run", "cell"]]
    return frames.layers.merge(finished, on=["run", "cell"])


def _median_angles(frames: Frames) -> pd.DataFrame:
    """Return the median angles over layers at the last probe of each finished run: cell, run, ANGLES."""
    layers = _finished(frames)
    last = layers[layers["epoch"] == layers.groupby(["cell", "run"])["epoch"].transform("max")]
    return last.groupby(["cell", "run"], sort=False)[ANGLES].median().reset_index()
