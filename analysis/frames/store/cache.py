"""A Parquet cache of the epoch logs, in ``STORE/frames/``.

``index.json`` lists the valid files. The name of each file contains the SHA-256 of its contents, so that a truncated,
foreign or outdated file is never read. A cache that fails any check is ignored. Files are written under a temporary
name and then renamed, the index last.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.frames.store.arrow_tables import EPOCHS, LAYERS
from analysis.frames.store.log_reader import Log
from nowt.core.errors import ConfigError, UserError
from nowt.store.files import open_unlinked, read_plain_file, write_atomically
from nowt.store.jsonl import parse_line
from nowt.store.locks import lock_file
from nowt.store.names import CACHE_FILE
from nowt.store.records import SCHEMA
from nowt.store.temporary_files import remove_leftovers

FORMAT = f"5, logs {SCHEMA}"  # raise the first number when the meaning of the files changes

INDEX = "index.json"

PATIENCE = 60.0  # seconds to wait for another process that is writing the cache

LOGS = pa.schema([(f.name, pa.int64() if f.type is int else pa.string()) for f in fields(Log)])


@dataclass(frozen=True)
class Part:
    """Some rows, and the name of their file; empty if they are not written yet."""

    table: Any
    name: str = ""


@dataclass(frozen=True)
class Cache:
    """The content of the logs, as far as it has been read."""

    logs: Mapping[str, Log] = field(default_factory=dict)  # by run key
    epochs: tuple[Part, ...] = ()
    layers: tuple[Part, ...] = ()


def load(folder: Path) -> Cache:
    """Load the cache in ``folder``; empty if it is missing or fails a check."""
    try:
        index = parse_line(read_plain_file(folder / INDEX))
        if index["format"] != FORMAT:
            return Cache()
        logs = [Log(**row) for row in _read(folder, index["logs"], LOGS).table.to_pylist()]
        epochs = tuple(_read(folder, name, EPOCHS) for name in index["epochs"])
        layers = tuple(_read(folder, name, LAYERS) for name in index["layers"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return Cache()
    return Cache({log.run: log for log in logs}, epochs, layers)


def save(folder: Path, cache: Cache) -> Cache:
    """Replace the cache in ``folder``. Raises OSError if it cannot be written."""
    logs = Part(pa.Table.from_pylist([asdict(log) for log in cache.logs.values()], LOGS))
    epochs = tuple(_written(folder, part, "epochs") for part in cache.epochs)
    layers = tuple(_written(folder, part, "layers") for part in cache.layers)
    index: dict[str, Any] = {"format": FORMAT, "logs": _written(folder, logs, "logs").name}
    index |= {"epochs": [part.name for part in epochs], "layers": [part.name for part in layers]}
    write_atomically(folder / INDEX, json.dumps(index, indent=1, allow_nan=False) + "\n", durable=False)
    _delete_outdated(folder, {index["logs"], *index["epochs"], *index["layers"]})
    return replace(cache, epochs=epochs, layers=layers)


@contextmanager
def folder_lock(folder: Path, patience: float = PATIENCE) -> Iterator[bool]:
    """Lock the folder for writing until the end of the block, and yield whether this succeeded.

    It fails if the folder is not writable, or if another process holds the lock for longer than ``patience`` seconds.
    """
    try:
        folder.mkdir(exist_ok=True)
        lock = -1 if folder.is_symlink() else open_unlinked(folder / ".lock")  # in a store of somebody else
    except (OSError, ConfigError):
        lock = -1
    if lock < 0:
        yield False
        return
    try:
        yield _locked(lock, time.monotonic() + patience)
    finally:
        os.close(lock)


def _locked(lock: int, until: float) -> bool:
    while True:
        try:
            if lock_file(lock):
                return True
        except OSError:  # a file system without locks
            return False
        if time.monotonic() > until:
            return False
        time.sleep(0.05)


def _read(folder: Path, name: str, schema: Any) -> Part:
    if not CACHE_FILE.matches(name):
        raise UserError(f"{name} is not the name of a file of the cache")
    data = read_plain_file(folder / name)
    if not name.endswith(f"{_digest(data)}.parquet"):
        raise UserError(f"the contents of {name} do not match its name")
    table = pq.read_table(pa.BufferReader(data))
    if not table.schema.equals(schema):
        raise UserError(f"{name} has unexpected columns")
    return Part(table, name)


def _written(folder: Path, part: Part, kind: str) -> Part:
    if part.name:
        return part
    sink = pa.BufferOutputStream()
    texts = [column.name for column in part.table.schema if not pa.types.is_floating(column.type)]
    pq.write_table(part.table, sink, compression="lz4", use_dictionary=texts)
    data = sink.getvalue()
    name = f"{kind}-{_digest(data)}.parquet"
    write_atomically(folder / name, data, durable=False)
    return replace(part, name=name)


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _delete_outdated(folder: Path, wanted: Sequence[str] | set[str]) -> None:
    """Delete outdated files, and temporary files of writers that were killed."""
    for path in folder.iterdir():
        ours = path.name.startswith(("logs-", "epochs-", "layers-")) and path.name.endswith(".parquet")
        if ours and path.name not in wanted:
            path.unlink(missing_ok=True)
    remove_leftovers(folder)
