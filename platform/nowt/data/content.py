"""Digests of the content of image files: read once, then looked up in a table in the store.

A file is read again when its size, its time of modification, its time of status change or its number (inode) differ.
Programs cannot set the last two, so that a file which replaces another is noticed even if its size and its time of
modification are the same.
"""

import os
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nowt.config.placement import Placement
from nowt.core.errors import DataError
from nowt.data.class_folders import Facts, file_facts
from nowt.data.decode import Bytes
from nowt.data.digest_table import DigestTable
from nowt.data.images import content_digest, digest_of
from nowt.data.subsets import Ints
from nowt.data.threads import map_in_threads
from nowt.store.layout import Store
from nowt.store.links import check_links
from nowt.store.locks import turn

CLOCK_STEP_NS = 2_000_000_000  # the coarsest step of a file system's times

SAVE_SECONDS = 30.0  # between two writings of the table while files are read

ATTEMPTS = 3  # to read a file that is being written


def table_path(root: Path, placement: Placement) -> Path:
    """Return the path of the table for a data folder: by its path, and by its disk, since two machines that share a
    store may each have a copy."""
    check_links(Path(placement.store))
    key = digest_of(str(root.resolve()), os.statvfs(root).f_fsid)
    return Store(Path(placement.store)).digests(key)


def content_digests(root: Path, names: list[str], facts: Ints, placement: Placement) -> Bytes:
    """Return the digest of each file; ``facts`` are those of its listing, (N, 4).

    Files that the table does not have are read in threads by one process at a time. What was read is kept if the
    process is stopped. Raises DataError naming a file that cannot be read, or that changes while it is read.
    """
    path = table_path(root, placement)
    digests, known = DigestTable.load(path).look_up(names, facts)
    if known.all():
        return digests
    with turn(path.with_suffix(".lock"), f"reads the images in {root}"):
        digests, known = DigestTable.load(path).look_up(names, facts)  # another process may have read them
        _Reading(root, path, names, facts.copy(), digests, known).run(placement.loaders)
    return digests


class _Reading:
    """Reads the files whose digests are not known, and saves the table from time to time."""

    def __init__(
        self, root: Path, table: Path, names: list[str], facts: Ints, digests: Bytes, known: NDArray[np.bool_]
    ) -> None:
        self.root = root
        self.table = table
        self.names = names
        self.facts = facts
        self.digests = digests
        self.known = known
        # A file that is younger may change again within one step of the clock, unnoticed: git's rule for its index.
        # A time in the future is never settled.
        self.settled_before = time.time_ns() - CLOCK_STEP_NS

    def run(self, threads: int) -> None:
        """Complete the digests."""
        missing = np.flatnonzero(~self.known).tolist()
        read = map_in_threads(
            partial(_read, self.root, self.names), missing, threads, "reading images to identify them"
        )
        saved, unsaved = time.monotonic(), False
        try:
            for i, (digest, facts) in zip(missing, read, strict=True):
                self.digests[i], self.facts[i], self.known[i] = np.frombuffer(digest, np.uint8), facts, True
                unsaved = unsaved or facts[2] < self.settled_before
                if unsaved and time.monotonic() - saved > SAVE_SECONDS:
                    self._save()
                    saved, unsaved = time.monotonic(), False
        finally:
            if unsaved:
                self._save()

    def _save(self) -> None:
        rows = np.flatnonzero(self.known & (self.facts[:, 2] < self.settled_before))
        names = [self.names[i] for i in rows]
        DigestTable(names, self.facts[rows], self.digests[rows]).save(self.table, self.root)


def _read(root: Path, names: list[str], index: int) -> tuple[bytes, Facts]:
    """Return the digest of a file and its facts, which were the same before and after it was read."""
    path = f"{root}/{names[index]}"
    try:
        for _ in range(ATTEMPTS):
            with open(path, "rb") as file:
                before = file_facts(os.fstat(file.fileno()))
                data = file.read()
                after = file_facts(os.fstat(file.fileno()))
            if before == after and len(data) == after[0]:
                return content_digest(data), after
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    raise DataError(f"{path} changes while it is read: wait until the images are complete, and start again")
