"""Warnings about finished runs whose result may mislead, as in ``nowt show``."""

from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.stats.layers import last_probe
from nowt.store.outcome import Outcome
from nowt.store.records import NAN, Layer


def run_warnings(frames: Frames) -> pd.DataFrame:
    """Return one row per warning about a finished run: cell, seed, warning (``nowt.store.outcome``)."""
    finished = frames.runs[(frames.runs["state"] == "finished") & (frames.runs["last_epoch"] > 0)]
    by = ["cell", "run"]
    epochs = dict(iter(frames.epochs.groupby(by)))
    layers = dict(iter(last_probe(frames.layers[frames.layers["epoch"] > 0]).groupby(by)))
    found = [
        (run.cell, run.seed, warning)
        for run in rows(finished)
        if (run.cell, run.run) in epochs
        for warning in _outcome(run.classes, epochs[run.cell, run.run], layers.get((run.cell, run.run))).warnings()
    ]
    return pd.DataFrame(found, columns=["cell", "seed", "warning"])


def _outcome(classes: int, epochs: pd.DataFrame, layers: pd.DataFrame | None) -> Outcome:
    ordered = epochs.sort_values("epoch")
    first, last = ordered.iloc[0], ordered.iloc[-1]
    return Outcome(
        0 if pd.isna(classes) else int(classes),
        float(first["val_loss"]) if first["epoch"] == 0 else NAN,
        float(last["val_loss"]),
        float(last["val_error"]),
        [] if layers is None else [_layer(row) for row in rows(layers)],
    )


def _layer(row: Any) -> Layer:
    through = None if pd.isna(row.through_feedback) else bool(row.through_feedback)
    numbers = (float(row.matrix_angle), float(row.delta_angle), float(row.norm_ratio))
    return Layer(str(row.layer), int(row.depth), *numbers, through)
