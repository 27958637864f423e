"""Checks a store that somebody else may have written before anything is read from it.

A merge reads only files with names that nowt writes. They must be plain files of the store itself: a link could name
any file of the machine, whose content would be copied.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from nowt.core.errors import require
from nowt.store.database_files import BESIDE
from nowt.store.layout import Store
from nowt.store.names import CERTIFICATE, RUN_KEY, STEP_CHECKPOINT, STUDY_KEY, NamePattern, stray_link

GIB = 2**30  # bytes

LARGEST_FILE = 5 * GIB  # bytes; no checkpoint in a bucket is larger, either


DATABASE_FILES = ("optuna.db", *(f"optuna.db{suffix}" for suffix in BESIDE))  # a merge reads them


def check_foreign_store(other: Path, label: str) -> None:
    """Raise ConfigError if a file that a merge reads from ``other`` has a name that nowt does not write, is a link or
    no plain file, or is larger than any file that nowt writes. ``label`` is the name of the store in messages."""
    store = Store(other)
    for path, name, pattern in _files(store):
        shown = f"{label}: {path.relative_to(other)}"
        require(pattern.matches(name), f"{shown} is not named as {pattern.noun}: move it out of that store")
        require(not path.is_symlink(), f"{shown} is a link: replace it with a copy of the file")
        found = path.stat()
        require(stat.S_ISREG(found.st_mode), f"{shown} is not a file: move it out of that store")
        size = f"{shown} has {found.st_size / GIB:,.0f} GiB, more than any file that nowt writes"
        require(found.st_size <= LARGEST_FILE, f"{size}: move it out of that store")
    folders = [store.logs, store.studies, store.certificates, store.all_checkpoints, *store.all_checkpoints.glob("*")]
    stray = stray_link(other, folders)
    require(
        stray is None, f"{label}: {stray and stray.relative_to(other)} is a link out of that store: copy the folder"
    )


def checkpoint_folders(store: Path) -> list[Path]:
    """Return the folders of checkpoints whose name is a run key, by key. nowt wrote no others."""
    return [path for path in sorted(Store(store).all_checkpoints.glob("*")) if RUN_KEY.matches(path.name)]


def _files(store: Store) -> Iterator[tuple[Path, str, NamePattern]]:
    """Yield each file that a merge reads, the part of its name that names it, and what that must be."""
    for path in store.log_files():
        yield path, path.stem, RUN_KEY
    for path in store.study_files():
        yield path, path.stem, STUDY_KEY
    for path in store.all_study_runs():
        yield path, path.name.removesuffix(".runs.jsonl"), STUDY_KEY
    for path in sorted(store.certificates.glob("*.json")):
        yield path, path.name, CERTIFICATE
    for folder in checkpoint_folders(store.path):
        for path in sorted(folder.glob("step-*.pt")):
            yield path, path.name, STEP_CHECKPOINT
    for path in sorted(store.path.glob("optuna.db*")):
        if path.name in DATABASE_FILES:
            yield path, path.name, NamePattern("a database", "|".join(map(re.escape, DATABASE_FILES)))
