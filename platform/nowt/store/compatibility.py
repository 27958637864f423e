"""Whether a store's logs were written by a version that this installation can read."""

import json
from collections.abc import Iterator
from pathlib import Path

from nowt.store.layout import Store
from nowt.store.records import SCHEMA


def schema_problems(store: Path) -> Iterator[str]:
    """One sentence where the store has logs of a newer schema."""
    folder = Store(store).logs
    newest = max((_schema(path) for path in Store(store).log_files()), default=SCHEMA)
    if newest > SCHEMA:
        yield f"{folder} has logs of schema {newest}, this nowt reads up to {SCHEMA}: update nowt"


def _schema(log: Path) -> int:
    """The schema that a log's first line names; that of today where it is cut, which reading it tells."""
    with log.open() as file:
        try:
            return int(json.loads(file.readline())["schema"])
        except (ValueError, KeyError, TypeError):
            return SCHEMA
