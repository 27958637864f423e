"""All runs of a store as tidy frames, cached as Parquet and updated by reading only new log lines."""

from analysis.frames.store.columns import CELLS, EPOCHS, LAYERS, RUNS
from analysis.frames.store.logs import read_logs
from analysis.frames.store.store import StoreFrames, read_store, rebuild_frames
from analysis.frames.store.trial_rows import TRIALS

__all__ = ["CELLS", "EPOCHS", "LAYERS", "RUNS", "TRIALS", "StoreFrames", "read_logs", "read_store", "rebuild_frames"]
