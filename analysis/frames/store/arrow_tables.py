"""The numbers of epoch logs as Arrow tables: one row per epoch, and one row per layer and epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analysis.frames.store.log_reader import Line
from nowt.store.records import IMAGE_FIELDS, Epoch, Layer

NAME = pa.dictionary(pa.int32(), pa.string())  # text repeated in many rows

COUNTS = ("epoch", "step", "presentations", "depth")  # integers; all other numbers are floats

COUNT_TYPES, MEASURE_TYPES = {int}, {int, float, type(None)}

SCALARS = tuple(field.name for field in fields(Epoch) if field.name not in ("layers", *IMAGE_FIELDS))

THROUGH = "through_feedback"  # true, false, or missing in logs of earlier versions

MEASURES = tuple(field.name for field in fields(Layer) if field.name not in ("name", THROUGH))


def _number(name: str) -> Any:
    return pa.int64() if name in COUNTS else pa.float64()


TIME = pa.timestamp("ms", "UTC")

EPOCHS = pa.schema([("run", NAME), *((name, _number(name)) for name in SCALARS), ("logged", TIME)])

LAYERS = pa.schema(
    [
        ("run", NAME),
        ("epoch", pa.int64()),
        ("layer", NAME),
        *((name, _number(name)) for name in MEASURES),
        (THROUGH, pa.bool_()),
    ]
)


def epoch_table(run: str, lines: Sequence[Line]) -> Any:
    """Return one row per epoch of run ``run``. Raises KeyError, TypeError or ValueError for a malformed line."""
    _check_images(lines)
    numbers = {name: _column(name, [line[name] for line in lines]) for name in SCALARS}
    times = pa.array([line["time"] for line in lines], pa.int64()).cast(TIME)
    return pa.table({"run": _repeated(run, len(lines)), **numbers, "logged": times}, EPOCHS)


def _check_images(lines: Sequence[Line]) -> None:
    """Raise TypeError unless what the lines have about single images, which is in no table, has the right types."""
    for line in lines:
        if type(line.get("test_correct", "")) is not str or type(line.get("test_images", 0)) is not int:
            raise TypeError("test_correct is no text, or test_images no number")


def layer_table(run: str, lines: Sequence[Line]) -> Any:
    """Return one row per layer and epoch of run ``run``. Raises like ``epoch_table``."""
    layers = [layer for line in lines for layer in line["layers"]]
    epochs = np.repeat(
        np.array([line["epoch"] for line in lines], np.int64), np.array([len(line["layers"]) for line in lines], int)
    )
    names = pa.array([layer["name"] for layer in layers], pa.string()).dictionary_encode()
    numbers = {name: _column(name, [layer[name] for layer in layers]) for name in MEASURES}
    places = {"run": _repeated(run, len(layers)), "epoch": epochs, "layer": names}
    through = pa.array([layer.get(THROUGH) for layer in layers], pa.bool_())
    return pa.table({**places, **numbers, THROUGH: through}, LAYERS)


def concatenate(tables: Sequence[Any], schema: Any) -> Any:
    """Concatenate ``tables``."""
    return pa.concat_tables([schema.empty_table(), *tables]).unify_dictionaries().combine_chunks()


def exclude_runs(table: Any, runs: Sequence[str]) -> Any:
    """Return the table without the rows of ``runs``; the same object if it has none."""
    theirs = pc.is_in(table["run"], pa.array(runs, pa.string()))
    return table.filter(pc.invert(theirs)) if pc.any(theirs).as_py() else table


def rows_of(tables: Sequence[Any], schema: Any, runs: Sequence[str]) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return the rows of ``runs`` in this order, and for each row the index of its run in ``runs``.

    A run that is listed twice has its rows twice. Within a run, rows are in the order of the log.
    """
    table = pa.concat_tables([schema.empty_table(), *tables]).unify_dictionaries()
    blocks: dict[str, list[tuple[int, int]]] = {}  # by run: start and end of each block of its rows
    for run, begin, end in _blocks(table["run"]):
        blocks.setdefault(run, []).append((begin, end))
    wanted = [blocks.get(run, []) for run in runs]
    count = [sum(end - begin for begin, end in theirs) for theirs in wanted]
    slices = [table.slice(begin, end - begin) for begin, end in _linked([s for theirs in wanted for s in theirs])]
    return pa.concat_tables([schema.empty_table(), *slices]), np.repeat(np.arange(len(runs)), count)


def _blocks(runs: Any) -> Iterator[tuple[str, int, int]]:
    """Yield each block of consecutive rows of one run: the run, its first row, and the row after its last."""
    codes = np.concatenate([np.zeros(0, np.int32), *(chunk.indices.to_numpy() for chunk in runs.chunks)])
    borders = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    names = runs.chunk(0).dictionary.to_pylist() if runs.num_chunks else []
    for begin, end in pairwise(borders):
        if begin < end:
            yield names[codes[begin]], begin, end


def _linked(blocks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge blocks that are adjacent in the table."""
    linked: list[tuple[int, int]] = []
    for begin, end in blocks:
        if linked and linked[-1][1] == begin:
            linked[-1] = (linked[-1][0], end)
        else:
            linked.append((begin, end))
    return linked


def _column(name: str, values: list[Any]) -> npt.NDArray[Any]:
    """Return the values as an array. Raises TypeError for other types, some of which NumPy would convert."""
    kinds, types = set(map(type, values)), COUNT_TYPES if name in COUNTS else MEASURE_TYPES
    if not kinds <= types:
        raise TypeError(f"{name} is a {next(iter(kinds - types)).__name__}")
    return np.array(values, np.int64 if name in COUNTS else np.float64)


def _repeated(text: str, times: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([text], pa.string()))
