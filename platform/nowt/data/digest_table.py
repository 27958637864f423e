"""A table in the store of the digests of image files, so that only new and changed files are read at a later start."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nowt.data.decode import Bytes
from nowt.data.images import DIGEST_BYTES
from nowt.data.subsets import Ints
from nowt.store.files import open_plain_file, write_atomically

FACTS = 4  # of a file

DAMAGE = (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile)  # what reading may raise


@dataclass(frozen=True, eq=False)
class DigestTable:
    """The digest of each file's content, and the facts of the file when it was read."""

    names: list[str]
    facts: Ints  # (N, 4): size in bytes, time of modification and of status change in ns, number of the file
    digests: Bytes  # (N, DIGEST_BYTES)

    @classmethod
    def load(cls, path: Path) -> "DigestTable":
        """Return the stored table; an empty one if it is missing or damaged, since every digest can be computed."""
        try:
            with open_plain_file(path) as file, np.load(file, allow_pickle=False) as stored:
                names, facts, digests = (stored[name] for name in ("names", "facts", "digests"))
            table = cls(_decoded(names).split("\0"), facts, digests)
            shapes = table.facts.shape, table.digests.shape
            if shapes == ((len(table.names), FACTS), (len(table.names), DIGEST_BYTES)):
                return table
        except DAMAGE:
            pass
        return cls([], np.empty((0, FACTS), np.int64), np.empty((0, DIGEST_BYTES), np.uint8))

    def save(self, path: Path, root: Path) -> None:
        """Write the table of the images in ``root`` atomically."""
        names = _encoded("\0".join(self.names))
        file = io.BytesIO()
        np.savez(file, names=names, facts=self.facts, digests=self.digests, root=_encoded(str(root.resolve())))
        write_atomically(path, file.getvalue(), durable=False)

    def look_up(self, names: list[str], facts: Ints) -> tuple[Bytes, NDArray[np.bool_]]:
        """Return the digests of the named files, and which of them are known: those whose facts are unchanged."""
        rows = self._rows(names)
        known = rows >= 0
        known[known] = (self.facts[rows[known]] == facts[known]).all(axis=1)
        digests = np.zeros((len(names), DIGEST_BYTES), np.uint8)
        digests[known] = self.digests[rows[known]]
        return digests, known

    def _rows(self, names: list[str]) -> Ints:
        """Return the row of each name; -1 for a name that the table does not have."""
        if names == self.names:
            return np.arange(len(names))
        row = {name: i for i, name in enumerate(self.names)}
        return np.array([row.get(name, -1) for name in names], np.int64)


def root_of_table(path: Path) -> str:
    """Return the folder whose images a stored table describes; empty if it is damaged or of an earlier version, which
    did not store it."""
    try:
        with open_plain_file(path) as file, np.load(file, allow_pickle=False) as stored:
            return _decoded(stored["root"])
    except DAMAGE:
        return ""


def _encoded(text: str) -> Bytes:
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)


def _decoded(text: Bytes) -> str:
    return text.tobytes().decode("utf-8", "surrogateescape")
