"""Warnings about finished runs whose result may mislead, as in ``nowt show``."""

from typing import Any

import pandas as pd

from analysis.frames.study import Frames, rows
from analysis.stats.layers import last_probe
from analysis.stats.run_scores import last_scores
from nowt.store.chance import Score
from nowt.store.outcome import Outcome
from nowt.store.records import NAN, Layer


def run_warnings(frames: Frames) -> pd.DataFrame:
    """Return one row per warning about a finished run: cell, seed, kind, warning (``nowt.store.outcome``)."""
    finished = frames.runs[(frames.runs["state"] == "finished") & (frames.runs["last_epoch"] > 0)]
    by = ["cell", "run"]
    epochs, scores = dict(iter(frames.epochs.groupby(by))), last_scores(frames)
    layers = dict(iter(last_probe(frames.layers[frames.layers["epoch"] > 0]).groupby(by)))
    found = [
        (run.cell, run.seed, warning.kind, warning.text)
        for run in rows(finished)
        if (key := (run.cell, run.run)) in epochs
        for warning in _outcome(scores[key], epochs[key], layers.get(key)).warnings()
    ]
    return pd.DataFrame(found, columns=["cell", "seed", "kind", "warning"])


def _outcome(score: Score, epochs: pd.DataFrame, layers: pd.DataFrame | None) -> Outcome:
    ordered = epochs.sort_values("epoch")
    first, last = ordered.iloc[0], ordered.iloc[-1]
    before = float(first["val_loss"]) if first["epoch"] == 0 else NAN
    return Outcome(
        score, before, float(last["val_loss"]), [] if layers is None else [_layer(row) for row in rows(layers)]
    )


def _layer(row: Any) -> Layer:
    through = None if pd.isna(row.through_feedback) else bool(row.through_feedback)
    numbers = (float(row.matrix_angle), float(row.delta_angle), float(row.norm_ratio))
    return Layer(str(row.layer), int(row.depth), *numbers, through)
