"""What figures of layers have in common: means over finished runs, and a layer's place between input and output."""

import pandas as pd

from analysis.frames.study import Frames

MEASURES = ["matrix_angle", "delta_angle", "norm_ratio"]

OUTPUT = "output layer's δ angle is 0 by construction"  # its δ is the loss' own gradient under every rule


def layer_means(frames: Frames) -> pd.DataFrame:
    """Each layer's measures by epoch, mean over finished runs: cell, epoch, layer, depth, MEASURES, and ``place``
    from 0 (input) to 1 (output)."""
    finished = frames.runs.loc[frames.runs["state"] == "finished", ["run", "cell"]]
    layers = frames.layers.merge(finished, on=["run", "cell"])
    groups = layers.groupby(["cell", "epoch", "layer", "depth"], sort=False)
    means = groups[MEASURES].mean().reset_index()
    deepest = means.groupby("cell")["depth"].transform("max").clip(lower=1)
    return means.assign(place=means["depth"] / deepest)


def measured_cells(frames: Frames) -> list[str]:
    """The cells with a finished run that measured an angle, in the study's order."""
    finished = frames.runs.loc[frames.runs["state"] == "finished", "run"]
    angles = frames.layers.loc[frames.layers["run"].isin(finished), ["cell", *MEASURES[:2]]]
    there = set(angles.loc[angles[MEASURES[:2]].notna().any(axis=1), "cell"])
    return [cell for cell in frames.study.cells if cell in there]


def final_layers(frames: Frames) -> pd.DataFrame:
    """The rows of ``layer_means`` at each cell's last probe."""
    means = layer_means(frames)
    return means[means["epoch"] == means.groupby("cell")["epoch"].transform("max")]
