"""Refuses to write into a store through a link, with which somebody else could name any folder of the machine."""

import os
from collections.abc import Iterator
from pathlib import Path

from nowt.core.errors import require
from nowt.store.layout import Store
from nowt.store.names import stray_link


def check_links(store: Path) -> None:
    """Raise ConfigError if a folder of the store is a link out of it. Called before anything is written there."""
    stray = stray_link(store, _links(Store(store)))
    require(
        stray is None,
        f"{stray} is a link out of the store, where nothing is written: replace it with a folder, or keep the whole "
        "store there (--store)",
    )


def _links(store: Store) -> Iterator[Path]:
    """Yield the links among the folders of a store. Each folder is listed once, and no file is looked at."""
    servers = _entries(store.outboxes)
    nested = (store.all_checkpoints, store.all_probes, store.outboxes, store.earlier)
    parts = (
        store.logs,
        store.studies,
        store.certificates,
        store.artifacts,
        store.frames,
        store.cache,
        store.pull_folder,
    )
    yield from (path for path in (*parts, *nested) if path.is_symlink())
    for folder in (*nested, *(server for server in servers if not server.is_symlink())):
        yield from (path for path in _entries(folder, links=True))


def _entries(folder: Path, links: bool = False) -> list[Path]:
    """Return what is in the folder, which need not exist; with ``links``, only the links."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if not links or entry.is_symlink())
