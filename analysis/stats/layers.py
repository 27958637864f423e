"""Alignment by layer and by run: means over finished runs, and a layer's place between input and output.

An aggregate is undefined (NaN) if one of its members is: in a dead or exploded network, the layers that still have an
angle would look aligned. Where the error passes through no layer with a B, as at the output layer, the δ angle is 0
under every rule; it is left out of every aggregate over layers and of the figures.
"""

import pandas as pd

from analysis.frames.study import Frames
from analysis.stats.seeds import error_curves, final_errors, percent

ANGLES = ["matrix_angle", "delta_angle"]

MEASURES = [*ANGLES, "norm_ratio"]


def layer_means(frames: Frames) -> pd.DataFrame:
    """Return each layer's measures by epoch, averaged over finished runs.

    Columns: cell, epoch, layer, depth, MEASURES (angles in degrees), and ``place`` from 0 (input) to 1 (output). A mean
    is NaN if the measure is undefined in one of the runs; so is a δ angle that is 0 under every rule.
    """
    by = ["cell", "epoch", "layer", "depth"]
    means = _mean(_without_free(_finished(frames)), by, MEASURES)
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
    """Return each cell's matrix angle at the last probe, degrees: median over layers, mean over finished runs.

    It is NaN if the angle is undefined in a layer of one of the runs.
    """
    return _mean(_median_angles(frames), ["cell"], ["matrix_angle"])


def angles_and_errors(frames: Frames, split: str) -> pd.DataFrame:
    """Return one row per finished run with an angle: cell, run, seed, final error (percent), and ANGLES.

    An angle is the median over layers at the run's last probe, in degrees; NaN if it is undefined in a layer.
    """
    final = percent(final_errors(error_curves(frames, split)))
    joined = final[["cell", "run", "seed", "error"]].merge(_median_angles(frames), on=["cell", "run"])
    return joined.dropna(subset="error").dropna(subset=ANGLES, how="all")


def late_delta_angles(frames: Frames) -> pd.DataFrame:
    """Return the δ angle of each finished run over the second half of its training: cell, run, seed, delta_angle.

    It is the median over layers after each epoch with an alignment probe beyond half of the run's epochs, averaged over
    these epochs, in degrees. It is NaN if the angle is undefined in a layer at one of them. Runs without such a probe
    are left out.
    """
    layers = _finished(frames).merge(frames.runs[["run", "cell", "epochs"]], on=["run", "cell"])
    late = layers[(2 * layers["epoch"] > layers["epochs"]) & _through_feedback(layers)]
    by = ["cell", "run", "seed"]
    return _mean(_aggregate(late, [*by, "epoch"], ["delta_angle"], "median"), by, ["delta_angle"])


def drawn_rows(means: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """Return the rows of the lines (groups of ``by``) that have a value; NaN within a line breaks it."""
    return means[means.groupby(by)[value].transform("count") > 0]


def last_probe(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each run's last alignment probe."""
    return layers[layers["epoch"] == layers.groupby(["cell", "run"])["epoch"].transform("max")]


def _finished(frames: Frames) -> pd.DataFrame:
    """Return the rows of ``frames.layers`` that belong to finished runs."""
    finished = frames.runs.loc[frames.runs["state"] == "finished", ["run", "cell"]]
    return frames.layers.merge(finished, on=["run", "cell"])


def _without_free(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the layers without the δ angles that are 0 under every rule."""
    return layers.assign(delta_angle=layers["delta_angle"].where(_through_feedback(layers)))


def _through_feedback(layers: pd.DataFrame) -> "pd.Series[bool]":
    """Return whether each row's δ depends on the rule, as ``nowt.store.records.layers_through_feedback`` does."""
    inner = layers["depth"] < layers.groupby(["cell", "run"])["depth"].transform("max")
    return layers["through_feedback"].fillna(inner.astype("boolean")).astype(bool)


def _median_angles(frames: Frames) -> pd.DataFrame:
    """Return the median angles over layers at the last probe of each finished run: cell, run, ANGLES."""
    layers = last_probe(_finished(frames))
    by = ["cell", "run"]
    inner = layers[_through_feedback(layers)]
    medians = _aggregate(layers, by, ["matrix_angle"], "median")
    return medians.merge(_aggregate(inner, by, ["delta_angle"], "median"), on=by, how="left")


def _mean(frame: pd.DataFrame, by: list[str], values: list[str]) -> pd.DataFrame:
    return _aggregate(frame, by, values, "mean")


def _aggregate(frame: pd.DataFrame, by: list[str], values: list[str], how: str) -> pd.DataFrame:
    """Return the aggregate of the columns ``values`` in each group of ``by``; NaN where a member is undefined."""
    groups = frame.groupby(by, sort=False)[values]
    complete = groups.count().eq(groups.size(), axis=0)
    return groups.agg(how).where(complete).reset_index()
