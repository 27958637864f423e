"""A whole store as tidy frames, kept as Parquet and brought up to date by reading only what is new."""

from analysis.store.columns import CELLS, EPOCHS, LAYERS, RUNS
from analysis.store.logs import read_logs
from analysis.store.trials import TRIALS
from analysis.store.whole import StoreFrames, read_store, rebuild_frames

__all__ = ["CELLS", "EPOCHS", "LAYERS", "RUNS", "TRIALS", "StoreFrames", "read_logs", "read_store", "rebuild_frames"]
