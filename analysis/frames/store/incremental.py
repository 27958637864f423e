"""Update the frames of a store by reading only new log lines.

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

from analysis.frames.store.arrow_tables import EPOCHS, LAYERS, epoch_table, joined, layer_table, without
from analysis.frames.store.cache import Kept, Part
from analysis.frames.store.log_reader import UNREADABLE, Log, parse, problem_of


@dataclass(frozen=True)
class News:
    """What is new in one log since it was last read."""

    log: Log
    anew: bool  # read from its first line: its earlier rows are invalid
    epochs: Any = None  # tables of its new rows; None without any
    layers: Any = None


def brought_up(kept: Kept, folder: Path, only: Collection[str] | None = None) -> Kept:
    """Return ``kept`` updated from the logs in ``folder``; the same object if nothing has changed.

    With ``only``, other runs are not examined.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.jsonl")) if only is None or path.stem in only}
    known = kept.logs if only is None else kept.logs.keys() & set(only)
    gone = [run for run in known if run not in paths]
    news = [found for run, path in paths.items() if (found := _news(path, kept.logs.get(run)))]
    if not gone and not news:
        return kept
    untrue = [*gone, *(new.log.run for new in news if new.anew and new.log.run in kept.logs)]
    logs = {run: log for run, log in kept.logs.items() if run not in gone} | {new.log.run: new.log for new in news}
    return Kept(
        dict(sorted(logs.items())),
        _renewed(kept.epochs, EPOCHS, untrue, [new.epochs for new in news if new.epochs is not None]),
        _renewed(kept.layers, LAYERS, untrue, [new.layers for new in news if new.layers is not None]),
    )


def _news(path: Path, log: Log | None) -> News | None:
    """Return what is new in the file since ``log``; None if it has not changed."""
    try:
        stamp = _stamp(path)
        if log and log.stamp == stamp:
            return None
        data = path.read_bytes()
    except FileNotFoundError:  # deleted just now; the next update removes it
        return None
    except OSError as error:
        return News(Log(path.stem, state=UNREADABLE, reason=problem_of(path, error)), anew=True)
    if log and log.size and zlib.crc32(data[: log.size]) == log.crc:
        return _parsed(path, replace(log, stamp=stamp), data, anew=False)
    return _parsed(path, Log(path.stem, stamp), data, anew=True)


def _parsed(path: Path, log: Log, data: bytes, anew: bool) -> News:
    """Parse the complete lines of ``data`` that ``log`` does not include; a line truncated by a crash is ignored."""
    end = data.rfind(b"\n") + 1
    tail = data[log.size : end]
    try:
        after, epochs = parse(log, tail)
        after = replace(after, size=log.size + len(tail), crc=zlib.crc32(tail, log.crc))
        if not epochs:
            return News(after, anew)
        return News(after, anew, epoch_table(log.run, epochs), layer_table(log.run, epochs))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        return News(Log(log.run, log.stamp, state=UNREADABLE, reason=problem_of(path, error)), anew=True)


def _stamp(path: Path) -> str:
    found = os.stat(path)
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _renewed(parts: Sequence[Part], schema: Any, untrue: Sequence[str], new: Sequence[Any]) -> tuple[Part, ...]:
    """Drop the rows of the runs ``untrue``, append the new rows, and merge parts that have become small."""
    left = [part if (table := without(part.table, untrue)) is part.table else Part(table) for part in parts]
    left += [Part(joined(new, schema))] if new else []
    left = [part for part in left if part.table.num_rows]
    first = _first_to_merge([part.table.num_rows for part in left])
    merged = [Part(joined([part.table for part in left[first:]], schema))] if len(left) - first > 1 else left[first:]
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
