"""Which test images each run classified correctly, read from the logs."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from analysis.frames.store.store import StoreFrames
from analysis.frames.study import Frames, counted_runs
from nowt.core.errors import UserError
from nowt.store.correct_images import unpack_correct
from nowt.store.files import read_plain_file
from nowt.store.layout import Store

FIELD = b'"test_correct"'


def read_test_correct(frames: Frames | StoreFrames, runs: Iterable[str] | None = None) -> pd.DataFrame:
    """Read which test images were classified correctly after the last epoch.

    Args:
        frames: The frames of a study or of a store.
        runs: Keys of the runs. Default: all runs with a result.

    Returns:
        A boolean frame, runs x images: one row per run that recorded its test images, indexed by its key in the order
        of ``runs``; one column per test image, in the order of the data set.

    Raises:
        ValueError: If the runs have different numbers of test images, or a log has an invalid line.

    Example:
        >>> correct = read_test_correct(frames)  # doctest: +SKIP
        >>> 1 - correct.mean(axis="columns")  # the test error of each run  # doctest: +SKIP
    """
    store = frames.logs.store if isinstance(frames, StoreFrames) else frames.store
    keys = list(dict.fromkeys(counted_runs(frames.runs)["run"] if runs is None else runs))
    found = {key: flags for key in keys if store and (flags := _correct(Store(store).log(key))) is not None}
    _check_lengths(found)
    images = len(next(iter(found.values()), ()))
    values = np.stack(list(found.values())) if found else np.zeros((0, 0), bool)
    return pd.DataFrame(values, index=pd.Index(found, name="run"), columns=pd.RangeIndex(images, name="image"))


def _correct(log: Path) -> NDArray[np.bool_] | None:
    """Return what the log has about its test images; None if it has nothing."""
    lines = [line for line in read_plain_file(log).split(b"\n")[:-1] if FIELD in line] if log.exists() else []
    if not lines:
        return None
    try:
        epoch = orjson.loads(lines[-1])
        return unpack_correct(epoch["test_correct"], epoch["test_images"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{log} has an invalid test_correct ({error})") from None


def _check_lengths(found: Mapping[str, NDArray[np.bool_]]) -> None:
    lengths = {len(flags): run for run, flags in found.items()}
    if len(lengths) > 1:
        (first, one), (second, other), *_ = lengths.items()
        raise UserError(
            f"run {one} has {first} test images and run {other} has {second}: give the runs of one data set (runs=...)"
        )
