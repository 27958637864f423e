"""Updates the frames of a store by reading only new log lines.

A file with the same size, times and inode is unchanged. For a changed file, the checksum of the part that was read
before is compared: if it matches, only the rest is read; otherwise (truncated after a crash, or replaced) the whole
file is read.
"""

import os
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.frames.store.arrow_tables import EPOCHS, LAYERS, concatenate, epoch_table, exclude_runs, layer_table
from analysis.frames.store.cache import Cache, Part
from analysis.frames.store.log_reader import UNREADABLE, Log, parse, problem_of
from nowt.core.errors import ConfigError
from nowt.store.files import read_plain_file
from nowt.store.names import RUN_KEY


@dataclass(frozen=True)
class LogUpdate:
    """The new content of one log since it was last read."""

    log: Log
    reread: bool  # read from its first line: its earlier rows are invalid
    epochs: Any = None  # tables of its new rows; None without any
    layers: Any = None


def update_cache(cache: Cache, folder: Path, only: Collection[str] | None = None) -> Cache:
    """Return ``cache`` updated from the logs in ``folder``; the same object if nothing has changed.

    With ``only``, other runs are not examined.
    """
    named = (path for path in sorted(folder.glob("*.jsonl")) if RUN_KEY.matches(path.stem))
    paths = {path.stem: path for path in named if only is None or path.stem in only}
    known = cache.logs if only is None else cache.logs.keys() & set(only)
    gone = [run for run in known if run not in paths]
    updates = [found for run, path in paths.items() if (found := _update_of(path, cache.logs.get(run)))]
    if not gone and not updates:
        return cache
    untrue = [*gone, *(new.log.run for new in updates if new.reread and new.log.run in cache.logs)]
    logs = {run: log for run, log in cache.logs.items() if run not in gone} | {new.log.run: new.log for new in updates}
    return Cache(
        dict(sorted(logs.items())),
        _renewed(cache.epochs, EPOCHS, untrue, [new.epochs for new in updates if new.epochs is not None]),
        _renewed(cache.layers, LAYERS, untrue, [new.layers for new in updates if new.layers is not None]),
    )


def _update_of(path: Path, log: Log | None) -> LogUpdate | None:
    """Return the new content of the file since ``log``; None if it has not changed."""
    try:
        stamp = _stamp(path)
        if log and log.stamp == stamp:
            return None
        data = read_plain_file(path)
    except FileNotFoundError:  # deleted just now; the next update removes it
        return None
    except (OSError, ConfigError) as error:
        return LogUpdate(Log(path.stem, state=UNREADABLE, reason=problem_of(path, error)), reread=True)
    if log and log.size and zlib.crc32(data[: log.size]) == log.crc:
        return _parsed(path, replace(log, stamp=stamp), data, reread=False)
    return _parsed(path, Log(path.stem, stamp), data, reread=True)


def _parsed(path: Path, log: Log, data: bytes, reread: bool) -> LogUpdate:
    """Parse the complete lines of ``data`` that ``log`` does not include; a line truncated by a crash is ignored."""
    end = data.rfind(b"\n") + 1
    tail = data[log.size : end]
    try:
        after, epochs = parse(log, tail)
        after = replace(after, size=log.size + len(tail), crc=zlib.crc32(tail, log.crc))
        if not epochs:
            return LogUpdate(after, reread)
        return LogUpdate(after, reread, epoch_table(log.run, epochs), layer_table(log.run, epochs))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        return LogUpdate(Log(log.run, log.stamp, state=UNREADABLE, reason=problem_of(path, error)), reread=True)


def _stamp(path: Path) -> str:
    found = os.stat(path)
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _renewed(parts: Sequence[Part], schema: Any, untrue: Sequence[str], new: Sequence[Any]) -> tuple[Part, ...]:
    """Drop the rows of the runs ``untrue``, append the new rows, and merge parts that have become small."""
    left = [part if (table := exclude_runs(part.table, untrue)) is part.table else Part(table) for part in parts]
    left += [Part(concatenate(new, schema))] if new else []
    left = [part for part in left if part.table.num_rows]
    first = _first_to_merge([part.table.num_rows for part in left])
    merged = (
        [Part(concatenate([part.table for part in left[first:]], schema))] if len(left) - first > 1 else left[first:]
    )
    return (*left[:first], *merged)


def _first_to_merge(rows: Sequence[int]) -> int:
    """Return the index from which parts are merged: each earlier part has more rows than all later ones together.

    This keeps the number of parts near log2(rows), and each row is rewritten about as many times.
    """
    first, after = len(rows), 0
    for number in reversed(range(len(rows))):
        if rows[number] <= after or number == len(rows) - 1:
            first = number
        after += rows[number]
    return max(first, 0) if rows else 0
