"""Checks that this installation can read a store's logs."""

import json
from collections.abc import Iterator
from pathlib import Path

from nowt.store.layout import Store
from nowt.store.records import SCHEMA


def schema_problems(store: Path) -> Iterator[str]:
    """One sentence if the store has logs of a newer schema."""
    folder = Store(store).logs
    newest = max((_schema(path) for path in Store(store).log_files()), default=SCHEMA)
    if newest > SCHEMA:
        yield f"{folder} has logs of schema {newest}, this nowt reads up to {SCHEMA}: update nowt"


def _schema(log: Path) -> int:
    """The schema in a log's first line; the current one if the line is invalid, which reading the log reports."""
    with log.open() as file:
        try:
            return int(json.loads(file.readline())["schema"])
        except (ValueError, KeyError, TypeError):
            return SCHEMA
