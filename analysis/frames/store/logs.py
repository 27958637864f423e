"""The runs of a store, up to date: what each log says, and the numbers of its epochs and layers."""

import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.frames.store.arrow_tables import EPOCHS, LAYERS, rows_of
from analysis.frames.store.cache import Kept, held, load, save
from analysis.frames.store.incremental import brought_up
from analysis.frames.store.log_reader import NOT_STARTED, Log
from nowt.store.layout import Store


@dataclass(frozen=True)
class Logs:
    """What a store's logs say."""

    store: Path
    kept: Kept = field(repr=False)

    def of(self, run: str) -> Log:
        """The log of a run: ``not started`` where there is none, ``unreadable`` (and why) where it is no log."""
        return self.kept.logs.get(run, Log(run, state=NOT_STARTED))

    def epochs(self, runs: Sequence[str]) -> tuple[Any, npt.NDArray[np.int64]]:
        """The epochs of these runs in this order as an Arrow table, and for each row the place of its run."""
        return rows_of([part.table for part in self.kept.epochs], EPOCHS, runs)

    def layers(self, runs: Sequence[str]) -> tuple[Any, npt.NDArray[np.int64]]:
        """Their layers, likewise."""
        return rows_of([part.table for part in self.kept.layers], LAYERS, runs)

    @property
    def epoch_rows(self) -> int:
        """How many epochs of all runs."""
        return sum(part.table.num_rows for part in self.kept.epochs)

    @property
    def layer_rows(self) -> int:
        """How many layers of all epochs."""
        return sum(part.table.num_rows for part in self.kept.layers)


def read_logs(store: Path, only: Collection[str] | None = None) -> Logs:
    """The logs of a store, the new ones read and kept in ``STORE/frames/``.

    Where nothing can be written, nothing is kept, and of the logs that are new those of ``only`` are read (None: all).
    """
    folder = Store(store).frames
    if not Store(store).logs.is_dir():
        return Logs(store, Kept())
    with held(folder) as ours:
        before = load(folder)
        kept = brought_up(before, Store(store).logs, None if ours else only)
        if ours and kept is not before:
            with suppress(OSError):  # a full disk, a folder deleted meanwhile: they are read again next time
                kept = save(folder, kept)
    return Logs(store, kept)


def rebuild_logs(store: Path) -> Logs:
    """As ``read_logs``, every log from its first line on."""
    shutil.rmtree(Store(store).frames, ignore_errors=True)
    return read_logs(store)
