"""The up-to-date logs of a store: the state of each run, and the numbers of its epochs and layers."""

import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.frames.store.arrow_tables import EPOCHS, LAYERS, rows_of
from analysis.frames.store.cache import Cache, folder_lock, load, save
from analysis.frames.store.incremental import update_cache
from analysis.frames.store.log_reader import NOT_STARTED, Log
from nowt.store.layout import Store


@dataclass(frozen=True)
class Logs:
    """The logs of a store."""

    store: Path
    cache: Cache = field(repr=False)

    def get(self, run: str) -> Log:
        """Return the log of a run; its state is ``not started`` without a file, ``unreadable`` for an invalid one."""
        return self.cache.logs.get(run, Log(run, state=NOT_STARTED))

    def epochs(self, runs: Sequence[str]) -> tuple[Any, npt.NDArray[np.int64]]:
        """Return the epochs of these runs as an Arrow table, and for each row the index of its run in ``runs``."""
        return rows_of([part.table for part in self.cache.epochs], EPOCHS, runs)

    def layers(self, runs: Sequence[str]) -> tuple[Any, npt.NDArray[np.int64]]:
        """Return the layers of these runs in the same form."""
        return rows_of([part.table for part in self.cache.layers], LAYERS, runs)

    @property
    def epoch_rows(self) -> int:
        """Number of epochs, over all runs."""
        return sum(part.table.num_rows for part in self.cache.epochs)

    @property
    def layer_rows(self) -> int:
        """Number of layers, over all epochs."""
        return sum(part.table.num_rows for part in self.cache.layers)


def read_logs(store: Path, only: Collection[str] | None = None) -> Logs:
    """Read the logs of a store, and cache them in ``STORE/frames/``.

    If the cache cannot be written, only the runs in ``only`` (default: all) are updated.
    """
    folder = Store(store).frames
    if not Store(store).logs.is_dir():
        return Logs(store, Cache())
    with folder_lock(folder) as writable:
        before = load(folder)
        cache = update_cache(before, Store(store).logs, None if writable else only)
        if writable and cache is not before:
            with suppress(OSError):  # disk full, or folder deleted meanwhile: the logs are read again next time
                cache = save(folder, cache)
    return Logs(store, cache)


def rebuild_logs(store: Path) -> Logs:
    """Delete the cache, and read every log from its first line."""
    shutil.rmtree(Store(store).frames, ignore_errors=True)
    return read_logs(store)
